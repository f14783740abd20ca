// A lock in memory that processes share, for moments in which its holder does not wait for anything.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

namespace quiver {

class SpinLock {
  public:
    // `lock` is 0 if nobody holds it. poll() is called while this waits, and may not return: if the
    // holder ended by an error, it never unlocks.
    SpinLock(uint8_t& lock, void (*poll)()) : lock_(lock)
    {
        for (int tries = 0; lock_.exchange(true, std::memory_order_acquire);)
            do
                if (++tries % 1000 == 0) {
                    sched_yield();
                    poll();
                }
            while (lock_.load(std::memory_order_relaxed));
    }
    ~SpinLock() { lock_.store(false, std::memory_order_release); }
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

  private:
    std::atomic_ref<uint8_t> lock_;
};

}   // namespace quiver
