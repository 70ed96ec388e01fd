// Threads and pools that come and go, without Python, and nothing but the arena itself to order them: caches pass from
// thread to thread, arenas from pool to pool, addresses from region to region, all of it to a fork's child.
//
// Most of it is for ThreadSanitizer: the programs hand things over by relaxed words, so that an order which the arena
// owes is not paid by the test.
#include "bufpool/memory/core/arena_internal.hpp"
#include "arenas.hpp"
#include "bufpool/_core/thread_end.hpp"

#include <chrono>
#include <deque>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if !defined(_WIN32) && !defined(__SANITIZE_THREAD__)   // ThreadSanitizer does not follow a fork
#define FORKS 1
#endif

using namespace bufpool;

namespace {

constexpr std::size_t kSizes[] = {64, 1000, 5000};

std::vector<void*> take_many(Arena* arena, unsigned count) {
    std::vector<void*> blocks;
    for (unsigned i = 0; i < count; ++i) blocks.push_back(arena->acquire(kSizes[i % 3]).address);
    return blocks;
}

// A thread begins before others have been joined: only the cache orders what it finds there after their writes. Threads that
// only release never read the shared list, which would order them too.
void threads_come_and_go(unsigned rounds) {
    constexpr unsigned kEach = 9, kWindow = 6;
    Arena* const arena = make({});
    const std::vector<void*> blocks = take_many(arena, kEach * rounds);
    std::atomic<bool> done{false};
    // Each reader by itself: what one has read orders nothing for the other.
    std::thread counter([&] {
        while (!done.load(std::memory_order_relaxed)) CHECK(arena->cached_bytes() < (std::uint64_t{1} << 30));
    });
    std::thread reader([&] {
        while (!done.load(std::memory_order_relaxed)) {
            for (std::size_t each : kSizes) {
                const ClassReading reading = arena->read_class(class_of(each));
                CHECK(reading.misses >= rounds && reading.hits < (std::uint64_t{1} << 40));
            }
        }
    });
    std::deque<std::thread> threads;
    for (unsigned i = 0; i < rounds; ++i) {
        if (threads.size() == kWindow) {
            threads.front().join();
            threads.pop_front();
        }
        threads.emplace_back([&, i] {
            for (unsigned k = 0; k < kEach; ++k) CHECK(Arena::release(blocks[i * kEach + k]));
            if (i % 3 != 0) return;
            for (void* each : take_many(arena, 30)) {
                *static_cast<unsigned*>(each) = i;
                CHECK(Arena::release(each));
            }
        });
    }
    for (std::thread& each : threads) each.join();
    done.store(true, std::memory_order_relaxed);
    counter.join();
    reader.join();
    all_back(arena);
}

// Threads find the caches that others have just mapped, while another thread counts what is in them. They begin together at a
// relaxed word, and go through new arenas in the same order, so that nothing but the list of caches orders them.
void many_caches() {
    constexpr unsigned kThreads = 40, kArenas = 12;
    Arena* arenas[kArenas];
    for (Arena*& each : arenas) each = make({});
    std::atomic<bool> go{false}, done{false};
    std::atomic<unsigned> ended{0};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
        while (!done.load(std::memory_order_relaxed)) {
            for (Arena* each : arenas) CHECK(each->cached_bytes() < (std::uint64_t{1} << 30));
        }
    });
    for (unsigned t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
            while (!go.load(std::memory_order_relaxed)) cpu_yield();
            for (Arena* each : arenas) CHECK(Arena::release(each->acquire(64).address));
            if (ended.fetch_add(1, std::memory_order_relaxed) + 1 == kThreads) done.store(true, std::memory_order_relaxed);
            while (!done.load(std::memory_order_relaxed)) cpu_yield();   // each keeps its caches
        });
    }
    go.store(true, std::memory_order_relaxed);
    for (std::thread& each : threads) each.join();
    for (Arena* each : arenas) all_back(each);
}

void take_and_return(void* arena) {
    for (void* each : take_many(static_cast<Arena*>(arena), 30)) CHECK(Arena::release(each));
}

// On macOS a thread's own variables are new ones, all zero, in a call that the system makes at its end. Here a key that was
// made before the arena's does that to them, and may then use a pool, as anybody's may. On Windows they stay.
struct Forgetting {
    Arena* arena;
    bool uses;
};
void BUFPOOL_THREAD_END forget(void* word) {
#if !defined(_WIN32)
    t_recent = t_caches = nullptr;
#endif
    const Forgetting* const how = static_cast<Forgetting*>(word);
    if (how->uses) take_and_return(how->arena);
}
ThreadEnd g_forgetting(&forget);

// What it cached comes back all the same, once, though a cache of it was released before.
void end_without_variables() {
    Arena* const first = make({});
    Arena* const second = make({});
    for (bool uses : {false, true}) {
        Forgetting how{first, uses};
        std::thread([&] {
            CHECK(g_forgetting.set(&how));
            take_and_return(second);
            take_and_return(first);
            CHECK(first->cached_bytes() != 0 && second->cached_bytes() != 0);
        }).join();
        CHECK(first->cached_bytes() == 0 && second->cached_bytes() == 0);
    }
    std::atomic<int> stage{0};
    std::thread other;
    std::thread([&] {
        CHECK(Arena::release(second->acquire(64).address));
        second->abandon();                               // its cache leaves the thread, and becomes another one's
        other = std::thread([&] {
            Arena* const third = make({});               // serves where `second` did
            void* const block = third->acquire(64).address;
            CHECK(Arena::release(block));
            CHECK(third->cached_bytes() == 64);
            stage.store(1);
            while (stage.load() == 1) cpu_yield();
            CHECK(third->cached_bytes() == 64);
            all_back(third);
        });
        while (stage.load() == 0) cpu_yield();
    }).join();
    stage.store(2);
    other.join();
    all_back(first);
}

// A key that was made after the arena's: its callback uses the pool in each of the system's rounds, the last too.
struct Late {
    Arena* arena;
    ThreadEnd* end;
    unsigned calls;
};
void BUFPOOL_THREAD_END come_late(void* word) {
    Late* const late = static_cast<Late*>(word);
    ++late->calls;
#if defined(__SANITIZE_THREAD__)
    if (late->calls == 3) return;   // in the last round ThreadSanitizer knows the thread no more
#endif
    late->end->set(late);
    take_and_return(late->arena);
}

// Nothing stays cached by a thread that is gone.
void end_with_late_users() {
    static ThreadEnd end(&come_late);
    Late late{make({}), &end, 0};
    std::thread([&] {
        CHECK(end.set(&late));
        take_and_return(late.arena);
        CHECK(late.arena->cached_bytes() != 0);
    }).join();
#if !defined(_WIN32)
    CHECK(late.calls >= 3);   // _POSIX_THREAD_DESTRUCTOR_ITERATIONS is 4
#endif
    CHECK(late.calls != 0 && late.arena->cached_bytes() == 0);
    all_back(late.arena);
}

#if defined(_WIN32)
struct Fibers {
    Arena* first;
    Arena* second;
    void* home;
};
void WINAPI visit(void* word) {
    Fibers* const fibers = static_cast<Fibers*>(word);
    take_and_return(fibers->second);
    SwitchToFiber(fibers->home);
}

// The end of a fiber releases the thread's caches. The pointers of the thread's other fibers may be another thread's caches
// by the time that they end.
void end_of_a_fiber() {
    Fibers fibers{make({}), make({}), nullptr};
    std::atomic<int> stage{0};
    std::thread other;
    std::thread([&] {
        fibers.home = ConvertThreadToFiber(nullptr);
        take_and_return(fibers.first);
        void* const visitor = CreateFiber(0, &visit, &fibers);
        SwitchToFiber(visitor);
        DeleteFiber(visitor);
        CHECK(fibers.first->cached_bytes() == 0 && fibers.second->cached_bytes() == 0);
        other = std::thread([&] {
            take_and_return(fibers.first);
            const std::uint64_t cached = fibers.first->cached_bytes();
            CHECK(cached != 0);
            stage.store(1);
            while (stage.load() == 1) cpu_yield();
            CHECK(fibers.first->cached_bytes() == cached);
        });
        while (stage.load() == 0) cpu_yield();
    }).join();
    stage.store(2);
    other.join();
    all_back(fibers.first);
    all_back(fibers.second);
}
#endif

// A look-up of an address finds its arena or null; a slab that is found is complete.
void foreign_looks(unsigned rounds) {
    Arena* const arena = make({});
    std::atomic<char*> shown{nullptr};
    std::atomic<bool> done{false};
    std::thread looker([&] {
        while (!done.load(std::memory_order_relaxed)) {
            char* const address = shown.load(std::memory_order_relaxed);
            Arena* const owner = Arena::owner_of(address);
            CHECK(owner == arena || owner == nullptr);
        }
    });
    std::vector<void*> held;
    for (unsigned i = 0; i < rounds; ++i) {
        void* const address = arena->acquire((std::size_t{2} << 20) + (std::size_t{i % 64} << 15)).address;
        CHECK(address != nullptr);
        shown.store(static_cast<char*>(address), std::memory_order_relaxed);
        cpu_yield();
        held.push_back(address);
    }
    done.store(true, std::memory_order_relaxed);
    looker.join();
    for (void* each : held) CHECK(Arena::release(each));
    all_back(arena);
}

// Several threads make and drop pools; an arena serves one pool at a time.
void pools_come_and_go(unsigned rounds) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; ++t) {
        threads.emplace_back([=] {
            for (unsigned i = 0; i < rounds; ++i) {
                const std::uint64_t limit = (std::uint64_t{t + 1} << 24) + i;
                Arena* const arena = make({limit});
                void* const block = arena->acquire(1000 + 100 * t).address;
                CHECK(block != nullptr && Arena::owner_of(block) == arena);
                CHECK(arena->config.limit == limit && arena->counters.used.load_relaxed() < 2000);
                CHECK(Arena::release(block));
                all_back(arena);
            }
        });
    }
    for (std::thread& each : threads) each.join();
}

// The system gives one thread the addresses that another has just released.
void regions_come_and_go(unsigned rounds) {
    Arena* const arena = make({kUnlimited, 0});
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([=] {
            for (unsigned i = 0; i < rounds; ++i) {
                void* const block = arena->acquire(std::size_t{2} << 20).address;
                CHECK(block != nullptr);
                cpu_yield();
                CHECK(Arena::owner_of(block) == arena);
                CHECK(Arena::release(block));
            }
        });
    }
    for (std::thread& each : threads) each.join();
    all_back(arena);
}

#if defined(FORKS)
std::uint64_t one_thread() { return 1; }

// The child's one thread has all that the parent's others had cached, waits for nobody, and finds every lock open.
void fork_with_threads() {
    Arena* const arena = make({});
    arena->queue.set_up(kUnlimited, EventFunctions{[]() -> void* { return new char; }, [](void*) {}, nullptr, one_thread});
    LimitWaiter* const waiter = arena->queue.join(1);
    std::atomic<int> stage{0};
    std::thread other([&] {
        for (void* each : take_many(arena, 30)) CHECK(Arena::release(each));
        stage.store(1);
        while (stage.load() == 1) cpu_yield();
    });
    while (stage.load() == 0) cpu_yield();
    std::vector<void*> own;
    for (int i = 0; i < 5; ++i) own.push_back(arena->acquire(64).address);
    for (void* each : own) CHECK(Arena::release(each));
    const std::uint64_t mine = 5 * 64;                // the child's one thread keeps it
    CHECK(arena->cached_bytes() > mine);
    const pid_t child = fork();
    if (child == 0) {
        alarm(10);   // a lock that is shut would hold it for ever
        bool right = arena->queue.is_empty() && arena->cached_bytes() == mine;
        arena->queue.leave(*waiter, 2, false);        // as one does who waited while a signal's handler forked
        right = right && arena->queue.is_empty() && arena->queue.length() == 0;
        arena->trim(0);
        right = right && arena->counters.reserved.load_relaxed() == 0;
        Arena* const later = make({});
        right = right && later != arena && later->acquire(100).address != nullptr;
        _exit(right ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    arena->queue.leave(*waiter, 2, false);
    stage.store(2);
    other.join();
    all_back(arena);
}
#endif

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[1]));
    many_caches();               // first: arenas keep their caches
    threads_come_and_go(rounds);
    end_without_variables();
    end_with_late_users();
#if defined(_WIN32)
    end_of_a_fiber();
#endif
    foreign_looks(rounds < 200 ? rounds : 200);
    pools_come_and_go(rounds);
    regions_come_and_go(4 * rounds);
#if defined(FORKS)
    fork_with_threads();
#endif
    std::printf("%u operations, 0 violations\n", 4 * rounds);
    return 0;
}
