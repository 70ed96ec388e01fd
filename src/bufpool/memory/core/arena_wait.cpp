// A request that waits at an arena's limit.
#include "limit_wait.hpp"

#include "bufpool/_core/clock.hpp"

namespace bufpool {

namespace {
constexpr std::uint64_t kSlice = 5'000'000;            // ns: a lost wake-up costs at most this
constexpr std::uint64_t kCollectAfter = 20'000'000;    // ns
constexpr std::uint64_t kCollectShare = 19;            // pause after a collection, in multiples of its duration
}  // namespace

bool LimitWait::begin(Arena* arena, std::size_t nbytes, std::size_t alignment) noexcept {
    arena_ = arena;
    nbytes_ = nbytes;
    alignment_ = alignment;
    started_ = until_ = precise_ns();
    const std::uint64_t timeout = arena->queue.timeout_ns;
    const std::size_t most = (nbytes == 0 ? 1 : nbytes) + alignment - kGranule;
    if (timeout == 0 || class_size(class_of(most)) > arena->config.limit) return true;
    until_ = timeout < kUnlimited - started_ ? started_ + timeout : kUnlimited;
    collect_at_ = arena->queue.is_empty() ? started_ : started_ + kCollectAfter;
    collect_every_ = kCollectAfter;
    waiter_ = arena->queue.join(started_);
    return waiter_ != nullptr;
}

bool LimitWait::time_to_collect() noexcept {
    if (waiter_ == nullptr) return true;
    const std::uint64_t now = precise_ns();
    if (now < collect_at_ || !arena_->queue.is_first(*waiter_)) return false;
    collect_began_ = now;
    collect_at_ = now + collect_every_;
    collect_every_ *= 2;
    return true;
}

void LimitWait::collected() noexcept {
    const std::uint64_t now = precise_ns();
    const std::uint64_t pause = kCollectShare * (now - collect_began_);
    if (waiter_ != nullptr && collect_at_ < now + pause) collect_at_ = now + pause;
}

Block LimitWait::step() noexcept {
    if (waiter_ == nullptr) return arena_->acquire_in_turn(nbytes_, alignment_);
    LimitQueue& queue = arena_->queue;
    std::uint64_t now = precise_ns();
    const std::uint64_t end = now + kSlice < until_ ? now + kSlice : until_;
    Block block{nullptr, Refusal::limit, false};
    bool woken = false;
    interrupted = false;
    for (;;) {
        // A request whose time is over tries in any case: overtaking is better than failing.
        if (queue.may_try(*waiter_, now, woken) || now >= until_) {
            block = arena_->acquire_in_turn(nbytes_, alignment_);
            if (block.refusal != Refusal::limit) break;
        }
        if (now >= end || interrupted) break;
        const std::uint64_t reserved_from = waiter_->since + kHandoffDelay + 1;   // memory is reserved for the first then
        const SleepResult slept = queue.sleep(*waiter_, (reserved_from > now && reserved_from < end ? reserved_from : end) - now);
        woken = slept == SleepResult::woken;
        interrupted = slept == SleepResult::interrupted;
        now = precise_ns();
    }
    if (block.address != nullptr) {
        queue.leave(*waiter_, now, true);   // so that the next one need not wait for our thread
        waiter_ = nullptr;
    } else {
        queue.suspend(*waiter_, now);
    }
    return block;
}

bool LimitWait::is_over() const noexcept { return precise_ns() >= until_; }

std::uint64_t LimitWait::waited_ns() const noexcept { return precise_ns() - started_; }

void LimitWait::end() noexcept {
    if (waiter_ == nullptr) return;
    arena_->queue.leave(*waiter_, precise_ns(), false);
    waiter_ = nullptr;
}

}  // namespace bufpool
