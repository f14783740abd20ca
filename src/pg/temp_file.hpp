// Temporary files that are written once and then used as memory, which several processes can share.
// PostgreSQL counts the files towards temp_file_limit, puts them into temp_tablespaces, and removes
// them at the end of the transaction.
#pragma once

#include "pg/pg.hpp"

extern "C" {
#include "storage/fd.h"
#include "storage/sharedfileset.h"
}

namespace quiver::pg {

class TempFile {
  public:
    TempFile() = default;
    // A file of this process only, if `set` is null. Otherwise other processes can open it by its name.
    static TempFile create(SharedFileSet* set, const char* name);
    // A file that another process has written and flushed.
    static TempFile open(SharedFileSet* set, const char* name);

    void write(const void* bytes, Size count);
    // `count` zeros. So the disk has room for them, unless the file system compresses. (PostgreSQL does
    // the same for dynamic_shared_memory_type = mmap.)
    void write_zeros(Size count);
    // Writes what is still in the buffer.
    void flush();
    Size size() const { return size_ + used_; }
    // The flushed file as memory, until `context` is reset or deleted. Null if it is empty.
    char* map(MemoryContext context);
    // Its mappings stay. But a file counts towards temp_file_limit only as long as the process that has
    // created it has it open.
    void close();

  private:
    static constexpr Size buffer_bytes = 64 * 1024;

    void write_through(const char* bytes, Size count);

    File file_ = -1;
    char* buffer_ = nullptr;
    Size used_ = 0;   // bytes in the buffer
    Size size_ = 0;   // bytes in the file
};

// The free bytes of the memory file system in which PostgreSQL creates shared memory. SIZE_MAX if it
// creates it otherwise, or if that is not known.
Size free_shared_memory();

}   // namespace quiver::pg
