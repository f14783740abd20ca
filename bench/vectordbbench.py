#!/usr/bin/env python3
"""VectorDBBench (https://github.com/zilliztech/VectorDBBench, vectordb-bench on PyPI) on quiver.

    pip install 'vectordb-bench[pgvector]'
    python bench/vectordbbench.py pgvectorhnsw --host localhost --user-name me --db-name mine \\
        --case-type Performance1536D50K --m 16 --ef-construction 64 --ef-search 40

This runs VectorDBBench's pgvector client with all of its options. Only the name of the extension is changed.
"""
import psycopg
from vectordb_bench.backend.clients.pgvector import pgvector


class Cursor(psycopg.Cursor):
    def execute(self, query, *args, **options):
        if query == "CREATE EXTENSION IF NOT EXISTS vector":
            query = "CREATE EXTENSION IF NOT EXISTS quiver"
        return super().execute(query, *args, **options)


class Psycopg:
    """The module psycopg with other cursors."""

    def connect(self, **options):
        return psycopg.connect(cursor_factory=Cursor, **options)

    def __getattr__(self, name):
        return getattr(psycopg, name)


def register(connection):
    """The client registers the types before it creates the extension, so this creates it first."""
    connection.cursor().execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.commit()
    register_vector(connection)


# In the processes, too, that it starts and that import this file.
register_vector = pgvector.register_vector
pgvector.register_vector, pgvector.psycopg = register, Psycopg()

if __name__ == "__main__":
    from vectordb_bench.cli.vectordbbench import cli

    cli()
