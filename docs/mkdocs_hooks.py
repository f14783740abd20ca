"""For mkdocs.yml. The pages of the manual are written for a forge, where they may link to any file of the repository. The
site has only the pages: pictures of docs/ are copied into it, and other links become the names of the files."""

import pathlib
import re

from mkdocs.structure.files import File

DOCS = pathlib.Path(__file__).resolve().parent


def on_files(files, config):
    for picture in sorted(DOCS.glob("*.svg")):
        files.append(File(picture.name, str(DOCS), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown, page, config, files):
    def other(match):
        text, target = match.groups()
        path = (DOCS / "manual" / page.file.src_uri).parent.joinpath(target.split("#")[0]).resolve()
        name = path.relative_to(DOCS.parent).as_posix()
        return f"{text} (`{name}`)" if text.strip("`") != name else f"`{name}`"
    markdown = re.sub(r"\]\(\.\./([\w.-]+\.svg)\)", r"](\1)", markdown)
    return re.sub(r"(?<!!)\[([^]]*)\]\((\.\./[^)\s]+)\)", other, markdown)
