// Memory that ends at a page that may not be touched: a kernel that reads past its input dies.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>

template <class T>
class GuardedBuffer {
  public:
    explicit GuardedBuffer(size_t n) : n_(n)
    {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t bytes = (n * sizeof(T) + page - 1) / page * page;
        size_ = bytes + page;
        base_ = static_cast<char*>(
            mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (base_ == MAP_FAILED || mprotect(base_ + bytes, page, PROT_NONE) != 0)
            throw std::bad_alloc();
        data_ = reinterpret_cast<T*>(base_ + bytes) - n;
    }
    ~GuardedBuffer() { munmap(base_, size_); }
    GuardedBuffer(const GuardedBuffer&) = delete;
    GuardedBuffer& operator=(const GuardedBuffer&) = delete;

    T* data() { return data_; }
    const T* data() const { return data_; }
    size_t size() const { return n_; }
    T& operator[](size_t i) { return data_[i]; }
    const T& operator[](size_t i) const { return data_[i]; }

  private:
    size_t n_, size_;
    char* base_;
    T* data_;
};
