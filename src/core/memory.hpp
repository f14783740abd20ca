// Memory allocation of the rooms without PostgreSQL: malloc, unless the host sets other hooks. A
// backend sets palloc, so that the abort of a transaction frees what a longjmp leaves behind.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace quiver {

struct MemoryHooks {
    void* (*allocate)(size_t bytes);   // returns null or raises an error if out of memory
    void (*release)(void* p);
};

inline constinit MemoryHooks memory_hooks = {std::malloc, std::free};

template <class T>
struct Allocator {
    using value_type = T;

    Allocator() noexcept = default;
    template <class U>
    Allocator(const Allocator<U>&) noexcept
    {
    }
    T* allocate(size_t n)
    {
        void* p = memory_hooks.allocate(n * sizeof(T));
        if (!p)
            throw std::bad_alloc();
        return static_cast<T*>(p);
    }
    void deallocate(T* p, size_t) noexcept { memory_hooks.release(p); }
    friend bool operator==(Allocator, Allocator) noexcept { return true; }
};

template <class T>
using Vec = std::vector<T, Allocator<T>>;

// Bytes to which others are appended. (A Vec would construct the bytes one by one, because its
// allocator is not the standard one.)
class ByteBuffer {
  public:
    void clear() { size_ = 0; }
    void append(const void* from, size_t n)
    {
        if (size_ + n > bytes_.size())
            bytes_.resize(std::bit_ceil(size_ + n));
        if (n > 0)
            std::memcpy(bytes_.data() + size_, from, n);
        size_ += n;
    }
    size_t size() const { return size_; }
    const uint8_t* data() const { return bytes_.data(); }

  private:
    Vec<uint8_t> bytes_;   // of which size_ are in use
    size_t size_ = 0;
};

// Owns one object, or none. (std::unique_ptr would do, but <memory> and what it includes take a third
// of the time that most files take to compile.) A base class must come first in its object, so that
// a pointer to it is the address that was allocated.
template <class T>
class Owned {
  public:
    Owned(std::nullptr_t = nullptr) noexcept {}
    // Takes over an object that make_owned() made.
    explicit Owned(T* object) noexcept : object_(object) {}
    template <class U>
    Owned(Owned<U>&& other) noexcept : object_(other.give())
    {
    }
    Owned(Owned&& other) noexcept : object_(other.give()) {}
    Owned& operator=(Owned&& other) noexcept
    {
        if (this != &other) {
            reset();
            object_ = other.give();
        }
        return *this;
    }
    ~Owned() { reset(); }

    void reset() noexcept
    {
        if (T* object = give()) {
            object->~T();
            memory_hooks.release(object);
        }
    }
    // Gives the object away: nobody owns it now.
    T* give() noexcept { return std::exchange(object_, nullptr); }

    explicit operator bool() const noexcept { return object_ != nullptr; }
    T* get() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }
    T* operator->() const noexcept { return object_; }

  private:
    T* object_ = nullptr;
};
template <class T, class... Args>
Owned<T> make_owned(Args&&... args)
{
    return Owned<T>(new (Allocator<T>().allocate(1)) T(std::forward<Args>(args)...));
}

}   // namespace quiver
