// The participants of a build: one, or several processes that run the same steps side by side
// (am/build_team.hpp). What they share is in an Arena, which each of them fills by the same calls.
#pragma once

#include <algorithm>
#include <atomic>
#include <type_traits>

#include "core/error.hpp"
#include "core/memory.hpp"

namespace quiver::graph {

class Team {
  public:
    // In memory that all participants share, zero at first.
    struct Shared {
        std::atomic<size_t> next[2];   // of two steps in a row: what was not handed out yet
    };
    static_assert(std::atomic<size_t>::is_always_lock_free);

    // poll() is called often, and may not return.
    explicit Team(void (*poll)()) : poll_(poll) {}
    // wait(arg) returns when all `size` participants have called it. Number 0 leads.
    Team(uint32_t size, uint32_t number, Shared& shared, void (*wait)(void*), void* arg,
         void (*poll)())
        : poll_(poll), wait_(wait), arg_(arg), shared_(&shared), size_(size), number_(number)
    {
    }
    // A participant on its own, with the same poll().
    static Team on_its_own(const Team& team) { return Team(team.poll_); }
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    uint32_t size() const { return size_; }
    bool is_leader() const { return number_ == 0; }
    void poll() const { poll_(); }

    // All participants call the functions below in the same order.

    // Returns when all have called it. What they wrote before can then be read by all.
    void wait()
    {
        if (size_ > 1)
            wait_(arg_);
    }
    // Divides 0 to `count` into parts of at most `at_once`, and calls f(from, to) for each in some
    // participant. Returns when all parts are done.
    template <class F>
    void each(size_t count, size_t at_once, F&& f)
    {
        if (size_ == 1) {
            for (size_t from = 0; from < count; from += at_once) {
                poll();
                f(from, std::min(from + at_once, count));
            }
            return;
        }
        // The others have come here, so nobody takes from the step before any more.
        shared_->next[(step_ + 1) % 2].store(0, std::memory_order_relaxed);
        std::atomic<size_t>& next = shared_->next[step_ % 2];
        for (size_t from; (from = next.fetch_add(at_once, std::memory_order_relaxed)) < count;) {
            poll();
            f(from, std::min(from + at_once, count));
        }
        step_++;
        wait();
    }
    // Calls f() in the leader only. Returns when it is done.
    template <class F>
    void alone(F&& f)
    {
        if (is_leader())
            f();
        wait();
    }

  private:
    void (*poll_)();
    void (*wait_)(void*) = nullptr;
    void* arg_ = nullptr;
    Shared* shared_ = nullptr;
    uint32_t size_ = 1, number_ = 0;
    size_t step_ = 0;
};

// Memory that is taken from one block. Participants that take the same in the same order get the same
// places of the block.
class Arena {
  public:
    // A block of the host's, aligned to 64 bytes.
    Arena(char* block, size_t bytes) : block_(block), bytes_(bytes) {}
    // A block of its own.
    explicit Arena(size_t bytes) : bytes_(bytes)
    {
        own_ = memory_hooks.allocate(bytes + alignment);
        if (!own_)
            throw std::bad_alloc();
        const auto at = reinterpret_cast<uintptr_t>(own_);
        block_ = static_cast<char*>(own_) + (alignment - at % alignment) % alignment;
    }
    ~Arena()
    {
        if (own_)
            memory_hooks.release(own_);
    }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    // The bytes that take<T>(count) uses.
    template <class T>
    static constexpr size_t bytes_of(size_t count)
    {
        return (count * sizeof(T) + alignment - 1) / alignment * alignment;
    }
    // Its content is undefined.
    template <class T>
    T* take(size_t count)
    {
        static_assert(std::is_trivially_copyable_v<T>);
        T* const taken = reinterpret_cast<T*>(block_ + used_);
        used_ += bytes_of<T>(count);
        if (used_ > bytes_)
            throw Error(Errc::internal, "a build needs more memory than it has computed");
        return taken;
    }
    size_t used() const { return used_; }
    // Gives back what was taken since used() was this.
    void give_back(size_t used) { used_ = used; }

  private:
    static constexpr size_t alignment = 64;

    void* own_ = nullptr;
    char* block_;
    size_t bytes_, used_ = 0;
};

}   // namespace quiver::graph
