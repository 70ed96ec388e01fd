// The arena without Python when the system has no memory: each system call fails once; releases while another thread is in a
// system call with the arena's lock; releases from a thread whose caches are gone.
//
// Compiled with the system's calls renamed (see `FAILING_CALLS` in verify/faults.py), so that the core calls those below.
#undef mmap
#undef mremap
#undef mlock
#undef mprotect
#undef madvise
#undef pthread_setspecific
#undef pthread_atfork
#include "arenas.hpp"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace bufpool;

namespace {

std::atomic<std::uint64_t> failed{0};
std::atomic<long> wanted{0}, seen{0};        // which call fails; 0: none
std::atomic<int> asleep{0};                  // 1: the next mprotect is to sleep; 2: it does; 0: it may go on
thread_local long calls = 0, maps = 0;       // of this thread
std::atomic<bool> breaks{false};             // the next mremap fails half-way
unsigned char* foreign = nullptr;            // what another thread then puts where pages should have gone

bool fails() {
    ++calls;
    return wanted.load() != 0 && seen.fetch_add(1) + 1 == wanted.load();
}

}  // namespace

extern "C" {
void* failing_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
    ++maps;
    if (fails()) return MAP_FAILED;
    return mmap(at, bytes, protection, flags, file, offset);
}
void* failing_mremap(void* from, std::size_t bytes, std::size_t more, int flags, ...) noexcept {
    va_list rest;
    va_start(rest, flags);
    void* const to = va_arg(rest, void*);
    va_end(rest);
    if (!breaks.exchange(false)) return mremap(from, bytes, more, flags, to);
    CHECK(munmap(to, more) == 0);
    foreign = static_cast<unsigned char*>(mmap(to, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    std::memset(foreign, 0x77, more);
    errno = ENOMEM;
    return MAP_FAILED;
}
int failing_mprotect(void* at, std::size_t bytes, int protection) noexcept {
    int one = 1;
    if (asleep.compare_exchange_strong(one, 2)) {
        while (asleep.load() != 0) sched_yield();
    }
    return fails() ? -1 : mprotect(at, bytes, protection);
}
int failing_madvise(void* at, std::size_t bytes, int advice) noexcept { return fails() ? -1 : madvise(at, bytes, advice); }
int failing_mlock(const void* at, std::size_t bytes) noexcept { return fails() ? -1 : mlock(at, bytes); }
int failing_setspecific(pthread_key_t key, const void* value) noexcept {
    return fails() ? ENOMEM : pthread_setspecific(key, value);
}
int failing_atfork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept {
    return fails() ? ENOMEM : pthread_atfork(prepare, parent, child);
}
}

namespace {

struct Kind {
    std::uint64_t limit, max_retained;
    Pages pages;
    bool lock, wipe;
};
constexpr Kind kKinds[] = {
    {kUnlimited, kUnlimited, Pages::huge_advised, false, false},
    {kUnlimited, std::uint64_t{1} << 20, Pages::plain, false, false},
    {std::uint64_t{32} << 20, kUnlimited, Pages::huge_explicit, false, true},
    {std::uint64_t{32} << 20, kUnlimited, Pages::huge_advised, true, false},
};
constexpr std::size_t kSizes[] = {1, 1000, 60'000, 300'000, std::size_t{3} << 20};

// Null if the system has no memory.
Arena* make(const Kind& kind) {
    const Upstream upstream{kind.pages, kind.lock, false};
    return Arena::create(config_of(Settings{kind.limit, kind.max_retained, 0, 0, kind.wipe, upstream}));
}

// Several of each size: from the first map of the process, through the thread's cache, to a region of its own.
void work(Arena* arena, bool must) {
    std::vector<void*> out;
    for (std::size_t nbytes : kSizes) {
        for (int i = 0; i < 3; ++i) {
            const Block block = i == 2 ? arena->acquire_aligned(nbytes, 4096) : arena->acquire(nbytes);
            if (block.address == nullptr) {
                CHECK(!must);
                CHECK(block.refusal == Refusal::no_memory || block.refusal == Refusal::not_lockable);
                continue;
            }
            CHECK(Arena::usable_size(block.address) >= nbytes && Arena::owner_of(block.address) == arena);
            std::memset(block.address, 0x5A, nbytes);
            for (void* const other : out) CHECK(other != block.address);
            out.push_back(block.address);
        }
    }
    for (void* const address : out) CHECK(Arena::release(address));
}

// In a process that never made an arena, the Nth call fails. False: there are fewer.
bool one_failed(const Kind& kind, long number) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        seen.store(0);
        wanted.store(number);
        Arena* arena = make(kind);
        if (arena != nullptr) work(arena, false);
        const bool reached = seen.load() >= number;
        wanted.store(0);
        if (arena == nullptr) {
            CHECK(reached);
            arena = make(kind);
            CHECK(arena != nullptr);
        }
        work(arena, true);
        const pid_t grandchild = fork();         // all locks are open there
        if (grandchild == 0) {
            work(arena, true);
            all_back(arena);
            _exit(0);
        }
        int status = 0;
        CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
        work(arena, true);
        all_back(arena);
        std::fflush(stdout);
        _exit(reached ? 0 : 2);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 1);
    return WEXITSTATUS(status) == 0;
}

void each_call_failed_once() {
    for (const Kind& kind : kKinds) {
        for (long number = 1; one_failed(kind, number); ++number) failed.fetch_add(1);
    }
}

// A release never waits and never asks for memory, though another thread holds the arena's lock for as long as it likes:
// with room to spare, above max_retained, at the turn of a window of age, and after closing.
void releases_beside_a_sleeper() {
    for (int turn = 0; turn < 4; ++turn) {
        Arena* const arena = bufpool::make(Settings{kUnlimited, turn == 1 ? 0 : kUnlimited, 0, turn == 2 ? 2u : 0u});
        std::vector<void*> out;
        for (std::size_t nbytes : kSizes) {
            for (int i = 0; i < 100; ++i) out.push_back(arena->acquire(nbytes).address);
        }
        asleep.store(1);
        std::thread sleeper([&] {                // more than any turn before: it needs more address space, with the lock
            void* const address = arena->acquire(std::size_t{64} << (20 + turn)).address;
            CHECK(address != nullptr && Arena::release(address));
        });
        while (asleep.load() != 2) sched_yield();
        std::thread closer;
        if (turn == 3) {
            closer = std::thread([&] { arena->close(); });    // waits for the lock, and is closed already
            while (arena->closed.load_acquire() == 0) sched_yield();
        }
        const long before = calls;
        alarm(60);                               // a release that waits ends here
        for (void* const address : out) CHECK(Arena::release(address));
        alarm(0);
        CHECK(calls == before);
        CHECK(asleep.load() == 2);
        asleep.store(0);
        sleeper.join();
        if (closer.joinable()) closer.join();
        all_back(arena);
        failed.fetch_add(out.size());
    }
}

// Threads that only release ask for no memory either, however many there are.
void releases_of_new_threads() {
    constexpr int kThreads = 20;                 // more than caches are mapped at once
    Arena* const arena = make(kKinds[0]);
    std::atomic<int> done{0};
    std::vector<std::thread> crew;
    for (int t = 0; t < kThreads; ++t) {
        std::vector<void*> out;
        for (int i = 0; i < 100; ++i) out.push_back(arena->acquire(1000).address);
        crew.emplace_back([&, out] {
            for (void* const address : out) CHECK(Arena::release(address));
            CHECK(maps == 0);
            done.fetch_add(1);
            while (done.load() != kThreads) sched_yield();   // all have their caches at once
        });
    }
    for (std::thread& each : crew) each.join();
    all_back(arena);
    failed.fetch_add(kThreads * 100);
}

// A thread that ends in C code: its own storage is destroyed after its caches were released, and releases and acquires again.
struct Late {
    Arena* arena;
    void* blocks[64];
};
void release_late(void* raw) {
    Late* const late = static_cast<Late*>(raw);
    for (void* const address : late->blocks) CHECK(Arena::release(address));
    void* const again = late->arena->acquire(1000).address;
    CHECK(again != nullptr && Arena::release(again));
}
void* end_inside(void* raw) {
    Late* const late = static_cast<Late*>(raw);
    for (void*& address : late->blocks) address = late->arena->acquire(1000).address;
    pthread_exit(nullptr);
}

void threads_that_end_inside() {
    pthread_key_t key;
    CHECK(pthread_key_create(&key, release_late) == 0);   // younger than the core's own, so destroyed after it
    Arena* const arena = make(kKinds[0]);
    for (int i = 0; i < 200; ++i) {
        Late late{arena, {}};
        struct Start {
            pthread_key_t key;
            Late* late;
        } start{key, &late};
        pthread_t thread;
        CHECK(pthread_create(
                  &thread, nullptr,
                  [](void* raw) -> void* {
                      Start* const mine = static_cast<Start*>(raw);
                      pthread_setspecific(mine->key, mine->late);
                      return end_inside(mine->late);
                  },
                  &start) == 0);
        CHECK(pthread_join(thread, nullptr) == 0);
        CHECK(arena->cached_bytes() == 0);       // exact, when all is quiet
        CHECK(arena->counters.used.load_relaxed() == 0);
        CHECK(arena->counters.reserved.load_relaxed() == 64 * 1024);
        failed.fetch_add(1);
    }
    all_back(arena);
}

// mremap unmaps its target before it can fail: another thread's map may be there then, and must not be written to.
void a_move_that_fails_half_way() {
    constexpr std::size_t kMiB = std::size_t{1} << 20;
    Arena* const arena = make(kKinds[0]);
    std::vector<void*> blocks;
    for (int i = 0; i < 8; ++i) blocks.push_back(arena->acquire(4 * kMiB).address);
    for (int i = 0; i < 8; i += 2) CHECK(Arena::release(blocks[i]));
    breaks.store(true);
    for (std::size_t nbytes : {14 * kMiB, 20 * kMiB}) {
        void* const large = arena->acquire(nbytes).address;
        CHECK(large != nullptr);
        std::memset(large, 0x5A, nbytes);
        CHECK(Arena::release(large));
    }
    for (int i = 1; i < 8; i += 2) CHECK(Arena::release(blocks[i]));
    CHECK(arena->trim(0) != 0);
    for (std::size_t i = 0; foreign != nullptr && i < kHugePage; ++i) CHECK(foreign[i] == 0x77);
    failed.fetch_add(foreign != nullptr);
    breaks.store(false);
    all_back(arena);
}

}  // namespace

int main() {
    each_call_failed_once();                     // first: its children have never made an arena
    releases_beside_a_sleeper();
    releases_of_new_threads();
    threads_that_end_inside();
    a_move_that_fails_half_way();                // last: nothing moves after it
    std::printf("%llu operations, 0 violations\n", static_cast<unsigned long long>(failed.load()));
    return 0;
}
