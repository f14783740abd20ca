// Keeps the states of finished scans for later scans. Making a state and getting its memory from
// the kernel takes a tenth of the time of a short query.
#pragma once

#include "pg/pg.hpp"

#include <concepts>

namespace quiver::am {

// The state of a scan, in a memory context of its own.
template <class State>
concept Keepable = requires(State& s)
{
    {
        s.context
        } -> std::convertible_to<MemoryContext>;
    // Identifies the index and its build.
    {
        s.build_id()
        } -> std::convertible_to<uint64>;
    // Ends the scan. The state can serve another one then.
    {s.end()};
};

// The next scan of the same build of the same index takes a kept state. A state in use belongs to
// its query, and is freed with it. Together the kept states use at most work_mem, or 1 MiB if that
// is more.
template <Keepable State>
class KeptStates {
  public:
    // Null if there is none.
    State* take(uint64 build_id)
    {
        for (Kept& k : states_)
            if (k.state && k.state->build_id() == build_id) {
                State* found = k.state;
                bytes_ -= k.bytes;
                k = {};
                MemoryContextSetParent(found->context, CurrentMemoryContext);
                return found;
            }
        return nullptr;
    }
    // Ends the state's scan; keeps the state, or frees it.
    void keep(State* s)
    {
        const Size most = std::max(static_cast<Size>(work_mem) * 1024, Size{1} << 20);
        s->end();
        const Size bytes = MemoryContextMemAllocated(s->context, true);
        if (bytes > most / 4) {
            MemoryContextDelete(s->context);
            return;
        }
        Kept* place = oldest(true);
        while (!place || bytes_ + bytes > most) {
            place = oldest(false);
            bytes_ -= place->bytes;
            MemoryContextDelete(place->state->context);
            *place = {};
        }
        MemoryContextSetParent(s->context, CacheMemoryContext);
        *place = {s, bytes, ++clock_};
        bytes_ += bytes;
    }

  private:
    struct Kept {
        State* state = nullptr;
        Size bytes = 0;
        uint64 since = 0;
    };
    // The place of the state that was kept first, or (empty) an empty place; null if there is none.
    Kept* oldest(bool empty)
    {
        Kept* found = nullptr;
        for (Kept& k : states_)
            if ((k.state == nullptr) == empty && (!found || k.since < found->since))
                found = &k;
        return found;
    }

    Kept states_[64];
    Size bytes_ = 0;
    uint64 clock_ = 0;
};

}   // namespace quiver::am
