// One request that waits at an arena's limit, step by step: between the steps its thread runs what it must.
#pragma once

#include "arena.hpp"

namespace bufpool {

class LimitWait {
  public:
    bool interrupted = false;    // the last step ended by a signal

    // False: no memory for a place in the queue. A request that may not wait, or would wait in vain, gets none: `waits` says so.
    bool begin(Arena* arena, std::size_t nbytes, std::size_t alignment) noexcept;
    bool waits() const noexcept { return until_ != started_; }

    // Whether to collect garbage now. The first in the queue does, after twice as long each time: cycles that others leave
    // meanwhile hold memory, too. Who waits before us has collected already.
    bool time_to_collect() noexcept;
    // It was collected. In a large program that takes long and stops all other threads: never more than a small share of
    // the time.
    void collected() noexcept;

    // Tries when it is its turn, for 5 ms at most. Served, it has left the queue at once.
    Block step() noexcept;
    bool is_over() const noexcept;
    std::uint64_t waited_ns() const noexcept;

    // Leaves the queue; the next one is woken.
    void end() noexcept;

  private:
    Arena* arena_ = nullptr;
    std::size_t nbytes_ = 0, alignment_ = 0;
    LimitWaiter* waiter_ = nullptr;
    std::uint64_t started_ = 0, until_ = 0;
    std::uint64_t collect_at_ = 0, collect_every_ = 0, collect_began_ = 0;
};

}  // namespace bufpool
