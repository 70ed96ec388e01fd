// The peak of what was in use recently, over a window of ten steps: a program may soon need as much again.
#pragma once

#include "bufpool/_core/atomics.hpp"

namespace bufpool {

class RecentPeak {
  public:
    // Any thread, at each growth of what is in use.
    void note(std::uint64_t used) noexcept {
        if (BUFPOOL_UNLIKELY(used > now_.load_relaxed())) now_.raise_relaxed(used);
    }
    std::uint64_t read() const noexcept {
        std::uint64_t peak = now_.load_relaxed();
        for (std::uint64_t each : earlier_) peak = each > peak ? each : peak;
        return peak;
    }
    std::uint64_t of_this_step() const noexcept { return now_.load_relaxed(); }

    // The functions below are called by one thread at a time.
    void reset(std::uint64_t now_ns, std::uint64_t window_ns) noexcept {
        step_ns_ = window_ns / (kSteps + 1) + 1;
        now_.store_relaxed(0);
        for (std::uint64_t& each : earlier_) each = 0;
        began_ = now_ns;
    }
    // Moves the window on by the steps that have passed; `used`: what is in use now.
    void advance(std::uint64_t now_ns, std::uint64_t used) noexcept {
        for (unsigned steps = 0; now_ns - began_ >= step_ns_ && steps < kSteps; ++steps) {
            for (unsigned i = kSteps - 1; i > 0; --i) earlier_[i] = earlier_[i - 1];
            earlier_[0] = steps == 0 ? now_.load_relaxed() : used;
            now_.store_relaxed(used);
            began_ += step_ns_;
        }
        if (now_ns - began_ >= step_ns_) began_ = now_ns;
    }

  private:
    static constexpr unsigned kSteps = 9;   // besides the current one

    Atomic<std::uint64_t> now_;
    std::uint64_t earlier_[kSteps];
    std::uint64_t began_, step_ns_;   // of the current step
};

}  // namespace bufpool
