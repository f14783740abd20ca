// Memory allocation of the rooms without PostgreSQL: malloc, unless the host sets other hooks. A
// backend sets palloc, so that the abort of a transaction frees what a longjmp leaves behind.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
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

// Owns one object. (A base class comes first in its object, so a pointer to the base class is the
// address that was allocated.)
struct Release {
    template <class T>
    void operator()(T* object) const
    {
        object->~T();
        memory_hooks.release(object);
    }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;
template <class T, class... Args>
Owned<T> make_owned(Args&&... args)
{
    return Owned<T>(new (Allocator<T>().allocate(1)) T(std::forward<Args>(args)...));
}

}   // namespace quiver
