#include "pg/pg.hpp"

#include "pg/temp_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

extern "C" {
#include "commands/tablespace.h"
#include "storage/dsm_impl.h"
}

namespace quiver::pg {

TempFile TempFile::create(SharedFileSet* set, const char* name)
{
    TempFile f;
    if (!set) {
        PrepareTempTablespaces();
        f.file_ = OpenTemporaryFile(false);
    } else
        f.file_ = create_shared_file(set, name);
    f.buffer_ = static_cast<char*>(palloc(buffer_bytes));
    return f;
}

TempFile TempFile::open(SharedFileSet* set, const char* name)
{
    TempFile f;
    f.file_ = open_shared_file(set, name, O_RDWR);
    if (f.file_ < 0)
        ereport(ERROR, (errcode_for_file_access(),
                        errmsg("could not open temporary file \"%s\": %m", name)));
    const off_t size = FileSize(f.file_);
    if (size < 0)
        ereport(ERROR, (errcode_for_file_access(),
                        errmsg("could not determine size of temporary file \"%s\": %m", name)));
    f.size_ = static_cast<Size>(size);
    return f;
}

void TempFile::write_through(const char* bytes, Size count)
{
    while (count > 0) {
        const Size part = std::min(count, buffer_bytes);
        if (static_cast<Size>(FileWrite(file_, const_cast<char*>(bytes), static_cast<int>(part),
                                        static_cast<off_t>(size_), WAIT_EVENT_BUFFILE_WRITE)) !=
            part)
            ereport(ERROR, (errcode_for_file_access(),
                            errmsg("could not write to file \"%s\": %m", FilePathName(file_))));
        size_ += part;
        bytes += part;
        count -= part;
        CHECK_FOR_INTERRUPTS();
    }
}

void TempFile::write(const void* bytes, Size count)
{
    if (used_ + count > buffer_bytes)
        flush();
    if (count > buffer_bytes)
        return write_through(static_cast<const char*>(bytes), count);
    std::memcpy(buffer_ + used_, bytes, count);
    used_ += count;
}

void TempFile::write_zeros(Size count)
{
    flush();
    std::memset(buffer_, 0, buffer_bytes);
    while (count > 0) {
        const Size part = std::min(count, buffer_bytes);
        write_through(buffer_, part);
        count -= part;
    }
}

void TempFile::flush()
{
    write_through(buffer_, used_);
    used_ = 0;
}

namespace {

struct Mapping {
    MemoryContextCallback callback;
    void* address;
    Size bytes;
};

}   // namespace

char* TempFile::map(MemoryContext context)
{
    if (size_ == 0)
        return nullptr;
    auto* mapping = static_cast<Mapping*>(MemoryContextAllocZero(context, sizeof(Mapping)));
    FileSize(file_);   // opens the file again if PostgreSQL has closed its descriptor meanwhile
    void* const at =
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, FileGetRawDesc(file_), 0);
    if (at == MAP_FAILED)
        ereport(ERROR, (errcode_for_file_access(),
                        errmsg("could not map temporary file \"%s\" of %zu bytes: %m",
                               FilePathName(file_), size_)));
    mapping->address = at;
    mapping->bytes = size_;
    mapping->callback.arg = mapping;
    mapping->callback.func = [](void* arg) {
        const auto* m = static_cast<Mapping*>(arg);
        munmap(m->address, m->bytes);
    };
    MemoryContextRegisterResetCallback(context, &mapping->callback);
    return static_cast<char*>(at);
}

void TempFile::close()
{
    if (file_ < 0)
        return;
    if (buffer_)
        pfree(buffer_);
    buffer_ = nullptr;
    FileClose(file_);
    file_ = -1;
}

Size free_shared_memory()
{
    struct statvfs s;
    if (dynamic_shared_memory_type != DSM_IMPL_POSIX || statvfs("/dev/shm", &s) != 0)
        return SIZE_MAX;
    return static_cast<Size>(s.f_bavail) * s.f_frsize;
}

}   // namespace quiver::pg
