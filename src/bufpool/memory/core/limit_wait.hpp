// One request that waits at an arena's limit, step by step. Between the steps its thread may run Python code.
#pragma once

#include "arena.hpp"

namespace bufpool {

class LimitWait {
  public:
    bool interrupted = false;    // a signal ended the last step

    // Joins the queue, unless the request may not wait or would wait in vain: see `waits`. False: no memory for it.
    bool begin(Arena* arena, std::size_t nbytes, std::size_t alignment) noexcept;
    bool waits() const noexcept { return until_ != started_; }

    // Whether to collect garbage now. The first waiter does, at intervals that double, because other threads may leave new
    // cycles that hold memory. The others do not: the waiter before them has collected already.
    bool time_to_collect() noexcept;
    // Call it after a collection. In a large program one takes long and stops all other threads, so collections may take
    // only a small share of the time.
    void collected() noexcept;

    // Waits for its turn for at most 5 ms and tries to acquire. A request that is served leaves the queue at once.
    Block step() noexcept;
    bool is_over() const noexcept;
    std::uint64_t waited_ns() const noexcept;

    // Leaves the queue and wakes the next waiter.
    void end() noexcept;

  private:
    Arena* arena_ = nullptr;
    std::size_t nbytes_ = 0, alignment_ = 0;
    LimitWaiter* waiter_ = nullptr;
    std::uint64_t started_ = 0, until_ = 0;
    std::uint64_t collect_at_ = 0, collect_every_ = 0, collect_began_ = 0;
};

}  // namespace bufpool
