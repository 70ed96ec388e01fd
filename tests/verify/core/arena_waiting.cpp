// Waiting at an arena's limit, without Python. First each rule of the queue, with a clock that the program sets; then
// threads: equal ones, and small ones that never stop while a large one wants most of the limit.
#include "arenas.hpp"
#include "bufpool/memory/core/limit_wait.hpp"

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace bufpool;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// --- events: what a thread sleeps on -----------------------------------------------------------------------------------

struct Event {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    unsigned opened = 0;
};

void* create_event() { return new Event; }

void set_event(void* event) {
    Event& it = *static_cast<Event*>(event);
    std::lock_guard<std::mutex> guard(it.mutex);
    CHECK(!it.open);   // Python's locks may not be opened twice
    it.open = true;
    ++it.opened;
    it.changed.notify_one();
}

SleepResult wait_for(void* event, std::uint64_t ns) {
    Event& it = *static_cast<Event*>(event);
    std::unique_lock<std::mutex> guard(it.mutex);
    const bool woken = it.changed.wait_for(guard, std::chrono::nanoseconds(ns), [&] { return it.open; });
    it.open = false;
    return woken ? SleepResult::woken : SleepResult::timed_out;
}

std::uint64_t g_thread = 0;                                  // of the rules, which have one thread and play several
std::uint64_t played_thread() { return g_thread; }
std::uint64_t own_thread() {
    static thread_local char mark;
    return reinterpret_cast<std::uintptr_t>(&mark);
}

unsigned wake_ups(LimitWaiter* waiter) { return static_cast<Event*>(waiter->event)->opened; }

// --- rule by rule -------------------------------------------------------------------------------------------------------

struct Played {
    Arena* arena;
    LimitQueue& queue;

    explicit Played(std::uint64_t limit) : arena(make({limit})), queue(arena->queue) {
        queue.set_up(kUnlimited, EventFunctions{create_event, set_event, wait_for, played_thread});
    }
    LimitWaiter* join(std::uint64_t now, std::uint64_t thread) {
        g_thread = thread;
        LimitWaiter* const waiter = queue.join(now);
        CHECK(waiter != nullptr);
        queue.sleep(*waiter, 1);   // one that was used before may have been signalled
        return waiter;
    }
    bool newcomer_is_served(std::size_t nbytes) {
        const Block block = arena->acquire(nbytes);
        CHECK(block.address != nullptr || block.refusal == Refusal::limit);
        return block.address != nullptr && Arena::release(block.address);
    }
};

// A new request may overtake until the first has waited for kHandoffDelay; after that only the request whose turn it is.
void patience() {
    Played played(4 * kMiB);
    CHECK(Arena::release(played.arena->acquire(kMiB).address));       // one is idle
    LimitWaiter* const first = played.join(1000, 1);
    CHECK(played.queue.may_try(*first, 1000 + kHandoffDelay, false) && played.newcomer_is_served(kMiB));
    CHECK(played.queue.may_try(*first, 1001 + kHandoffDelay, false));
    for (std::size_t nbytes : {kMiB, 2 * kMiB, std::size_t{100}}) CHECK(!played.newcomer_is_served(nbytes));
    CHECK(played.arena->acquire_aligned(kMiB, 4096).refusal == Refusal::limit);
    const Block mine = played.arena->acquire_in_turn(4 * kMiB, kGranule);
    CHECK(mine.address != nullptr);
    played.queue.leave(*first, 2000 + kHandoffDelay, true);
    CHECK(Arena::release(mine.address) && played.newcomer_is_served(kMiB));
    all_back(played.arena);
}

// The second's turn comes when the first leaves, served or not; and then it is woken. Whoever has waited for long when it
// becomes the first is not overtaken any more.
void order() {
    for (bool served : {false, true}) {
        Played played(4 * kMiB);
        LimitWaiter* const first = played.join(1000, 1);
        LimitWaiter* const second = played.join(1000, 2);
        LimitWaiter* const third = played.join(1000 + 3 * kHandoffDelay, 3);
        const std::uint64_t now = 1500 + 3 * kHandoffDelay;
        CHECK(played.queue.may_try(*first, now, false));
        CHECK(!played.queue.may_try(*second, now, false) && !played.queue.may_try(*third, now, false));
        const unsigned before = wake_ups(second), others = wake_ups(third);
        played.queue.leave(*first, now, served);
        CHECK(wake_ups(second) == before + 1 && wake_ups(third) == others);
        CHECK(played.queue.may_try(*second, now, true) && !played.queue.may_try(*third, now, false));
        CHECK(!played.newcomer_is_served(100));
        played.queue.leave(*third, now, false);                       // from behind: nobody's turn comes
        CHECK(wake_ups(second) == before + 1 && played.queue.length() == 1);
        played.queue.leave(*second, now, served);
        CHECK(played.queue.is_empty() && played.newcomer_is_served(100));
        LimitWaiter* const young = played.join(now, 1);               // one that was there before, used again
        CHECK((young == first || young == second || young == third) && played.newcomer_is_served(100));
        played.queue.leave(*young, now, false);
        all_back(played.arena);
    }
}

// A release wakes the first waiter, once until it has slept again, and no other.
void waking() {
    Played played(64 * kMiB);
    for (std::size_t nbytes : {std::size_t{100}, std::size_t{100'000}, 3 * kMiB}) {
        void* const one = played.arena->acquire(nbytes).address;
        void* const two = played.arena->acquire(nbytes).address;
        LimitWaiter* const first = played.join(1000, 1);
        LimitWaiter* const second = played.join(1000, 2);
        const unsigned before = wake_ups(first), others = wake_ups(second);
        CHECK(Arena::release(one) && wake_ups(first) == before + 1);
        CHECK(Arena::release(two) && wake_ups(first) == before + 1);
        CHECK(played.queue.sleep(*first, 1) == SleepResult::woken && played.queue.sleep(*first, 1) == SleepResult::timed_out);
        CHECK(Arena::release(played.arena->acquire(nbytes).address) && wake_ups(first) == before + 2);
        CHECK(wake_ups(second) == others);
        CHECK(played.queue.sleep(*first, 1) == SleepResult::woken);
        played.queue.leave(*second, 1000, false);
        played.queue.leave(*first, 1000, false);
    }
    CHECK(Arena::release(played.arena->acquire(100).address));        // nobody to wake
    all_back(played.arena);
}

// Nothing is released for long: one waiter behind the first may be served, then the first waits twice as long.
void stalls() {
    Played played(4 * kMiB);
    LimitWaiter* const first = played.join(1000, 1);
    std::uint64_t now = 1000, quiet = kStall;
    for (unsigned passed = 0; passed < 5; ++passed, quiet *= 2) {
        LimitWaiter* const second = played.join(now, 2);
        LimitWaiter* const third = played.join(now, 3);
        CHECK(played.queue.may_try(*first, now + quiet, false) && !played.queue.may_try(*second, now + quiet, false));
        now += quiet + 1;
        CHECK(played.queue.may_try(*first, now, false));
        CHECK(played.queue.may_try(*second, now, false) && played.queue.may_try(*third, now, false));
        CHECK(!played.newcomer_is_served(100));                       // not one that did not queue
        played.queue.leave(*third, now, true);
        CHECK(!played.queue.may_try(*second, now, false) && played.queue.may_try(*first, now, false));
        played.queue.leave(*second, now, false);
    }
    // A release ends it.
    LimitWaiter* const last = played.join(now, 2);
    now += quiet + 1;
    CHECK(played.queue.may_try(*first, now, false) && played.queue.may_try(*last, now, false));
    CHECK(played.queue.may_try(*first, now, true) && !played.queue.may_try(*last, now, false));
    // Even before the first has woken up.
    now += quiet + 1;
    CHECK(played.queue.may_try(*first, now, false) && played.queue.may_try(*last, now, false));
    played.queue.wake_first();
    CHECK(!played.queue.may_try(*last, now, false));
    played.queue.leave(*first, now, true);
    CHECK(played.queue.may_try(*last, now + kStall, false));
    played.queue.leave(*last, now, true);
    all_back(played.arena);
}

// The first runs other code: its own thread may overtake it at once, others when that lasts long.
void absence() {
    Played played(4 * kMiB);
    LimitWaiter* const first = played.join(1000, 1);
    LimitWaiter* const own = played.join(1000, 1);
    LimitWaiter* const other = played.join(1000, 2);
    CHECK(played.queue.may_try(*first, 2000, false) && !played.queue.may_try(*own, 2000, false));
    played.queue.suspend(*first, 2000);
    CHECK(played.queue.may_try(*own, 2000, false) && !played.queue.may_try(*other, 2000, false));
    played.queue.suspend(*own, 3000);
    CHECK(!played.queue.may_try(*other, 1999 + kAbsence, false) && played.queue.may_try(*other, 3000 + kAbsence, false));
    CHECK(played.queue.may_try(*first, 3000 + kAbsence, true) && !played.queue.may_try(*other, 3000 + kAbsence, false));
    for (LimitWaiter* each : {other, first, own}) played.queue.leave(*each, 4000, false);
    all_back(played.arena);
}

// All see that the arena is closed, and the next pool's queue begins with an open gate.
void closing() {
    Played played(4 * kMiB);
    LimitWaiter* const first = played.join(1000, 1);
    LimitWaiter* const second = played.join(1000, 2);
    CHECK(played.queue.may_try(*first, 2000 + kHandoffDelay, false) && !played.queue.may_try(*second, 2000 + kHandoffDelay, false));
    played.arena->close();
    CHECK(played.queue.may_try(*second, 2000 + kHandoffDelay, false));
    CHECK(played.arena->acquire(100).refusal == Refusal::closed);
    CHECK(played.arena->acquire_in_turn(100, kGranule).refusal == Refusal::closed);
    played.queue.leave(*second, 2000 + kHandoffDelay, false);
    played.queue.leave(*first, 2000 + kHandoffDelay, false);
    all_back(played.arena);
    Arena* const next = make({4 * kMiB});
    CHECK(next == played.arena && Arena::release(next->acquire(100).address));
    all_back(next);
}

// The child's queue begins anew, for its one thread, too, if that waited.
void forking() {
    Played played(4 * kMiB);
    LimitWaiter* const gone = played.join(1000, 1);
    LimitWaiter* const mine = played.join(1000, 2);                   // and thread 2 forks
    const std::uint64_t now = 2000 + kHandoffDelay;
    CHECK(played.queue.may_try(*gone, now, false) && !played.newcomer_is_served(100));
    played.queue.reset_after_fork();                                        // what a fork's child does, see arena_life
    CHECK(played.queue.is_empty() && played.queue.length() == 0 && played.newcomer_is_served(100));
    CHECK(played.queue.may_try(*mine, now, false) && played.queue.length() == 1 && played.queue.is_first(*mine));
    CHECK(!played.newcomer_is_served(100));
    played.queue.leave(*mine, now, false);
    CHECK(played.queue.length() == 0 && played.newcomer_is_served(100));
    LimitWaiter* const before = played.join(1000, 1);
    played.queue.reset_after_fork();
    played.queue.leave(*before, now, false);                          // it was in the parent's queue, and is in none
    CHECK(played.queue.length() == 0);
    all_back(played.arena);
}

// A request that can never fit under the limit does not wait, nor does one without a timeout.
void in_vain() {
    Played played(4 * kMiB);
    LimitWait wait;
    CHECK(wait.begin(played.arena, 4 * kMiB + 1, kGranule) && !wait.waits() && wait.is_over());
    CHECK(wait.step().refusal == Refusal::limit);
    CHECK(wait.begin(played.arena, 4 * kMiB, 4096) && !wait.waits() && played.queue.is_empty());
    CHECK(wait.begin(played.arena, 4 * kMiB, kGranule) && wait.waits() && played.queue.length() == 1);
    wait.end();
    CHECK(played.queue.is_empty());
    played.queue.timeout_ns = 0;
    CHECK(wait.begin(played.arena, kMiB, kGranule) && !wait.waits() && played.queue.is_empty());
    all_back(played.arena);
}

// --- threads ------------------------------------------------------------------------------------------------------------

Arena* make_shared_arena(std::uint64_t limit, std::uint64_t timeout) {
    Arena* const arena = make({limit});
    arena->queue.set_up(timeout, EventFunctions{create_event, set_event, wait_for, own_thread});
    return arena;
}

// Acquires as the layer above does; null: refused.
char* take(Arena* arena, std::size_t nbytes) {
    Block block = arena->acquire(nbytes);
    if (block.address != nullptr) return static_cast<char*>(block.address);
    CHECK(block.refusal == Refusal::limit);
    LimitWait wait;
    CHECK(wait.begin(arena, nbytes, kGranule));
    do {
        block = wait.step();
        CHECK(block.address != nullptr || block.refusal == Refusal::limit);
    } while (block.address == nullptr && !wait.is_over());
    wait.end();
    return static_cast<char*>(block.address);
}

void use(Arena* arena, char* block, std::size_t nbytes, char mark) {
    for (std::size_t i = 0; i < nbytes; i += 4096) block[i] = mark;
    CHECK(arena->counters.reserved.load_relaxed() <= arena->config.limit);
    cpu_yield();
    for (std::size_t i = 0; i < nbytes; i += 4096) CHECK(block[i] == mark);
}

// Small requests by threads that never stop, until one that needs nearly all has been served so often.
void large_among_small(unsigned rounds) {
    Arena* const arena = make_shared_arena(4 * kMiB, kUnlimited);
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] {
            for (unsigned i = t; !done.load(std::memory_order_relaxed); ++i) {
                const std::size_t nbytes = (std::size_t{64} << 10) << (i % 5);
                char* const mine = take(arena, nbytes);
                CHECK(mine != nullptr);
                use(arena, mine, nbytes, static_cast<char>('a' + t));
                CHECK(Arena::release(mine));
            }
        });
    }
    for (unsigned i = 0; i < rounds; ++i) {
        char* const mine = take(arena, 4 * kMiB - (std::size_t{i % 3} << 19));
        CHECK(mine != nullptr);
        use(arena, mine, 3 * kMiB, 'z');
        CHECK(Arena::release(mine));
    }
    done.store(true, std::memory_order_relaxed);
    for (std::thread& each : threads) each.join();
    CHECK(arena->queue.length() == 0);
    all_back(arena);
}

// Each takes two blocks, one after the other. A second one always fits, but one who waits for its first is before it: who
// has a block is let pass, or all would wait for ever.
void holding_one(unsigned rounds) {
    Arena* const arena = make_shared_arena(4 * kMiB + kMiB / 2, kUnlimited);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; ++t) {
        threads.emplace_back([=] {
            for (unsigned i = 0; i < rounds; ++i) {
                const std::size_t first = t == 0 ? 3 * kMiB : kMiB;
                char* const one = take(arena, first);
                use(arena, one, first, 'x');
                char* const two = take(arena, std::size_t{256} << 10);
                use(arena, two, std::size_t{256} << 10, 'y');
                CHECK(Arena::release(one) && Arena::release(two));
            }
        });
    }
    for (std::thread& each : threads) each.join();
    CHECK(arena->queue.length() == 0);
    all_back(arena);
}

// Some waiters time out: the others go on.
void giving_up(unsigned rounds) {
    Arena* const arena = make_shared_arena(kMiB, 2 * kHandoffDelay);
    std::atomic<unsigned> served{0}, late{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (unsigned i = 0; i < rounds; ++i) {
                char* const mine = take(arena, kMiB);
                (mine == nullptr ? late : served).fetch_add(1);
                if (mine == nullptr) continue;
                use(arena, mine, kMiB, static_cast<char>('a' + t));
                if (i % 4 == 0) std::this_thread::sleep_for(std::chrono::nanoseconds(3 * kHandoffDelay));
                CHECK(Arena::release(mine));
            }
        });
    }
    for (std::thread& each : threads) each.join();
    CHECK(served.load() + late.load() == 4 * rounds && served.load() >= rounds && arena->queue.length() == 0);
    all_back(arena);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[1]));
    patience();
    order();
    waking();
    stalls();
    absence();
    closing();
    forking();
    in_vain();
    large_among_small(rounds);
    holding_one(rounds / 50);
    giving_up(rounds / 10);
    std::printf("%u operations, 0 violations\n", rounds);
    return 0;
}
