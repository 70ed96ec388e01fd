// The maintenance thread: started, run, and ended.
#include "maintenance.hpp"

#include "arena_internal.hpp"

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#include <time.h>
#endif
#if defined(__linux__)
#include <sys/prctl.h>
#endif

// As in thread_end.hpp: with the oldest symbol version a wheel runs on systems with an older glibc.
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34) && (defined(__x86_64__) || defined(__aarch64__))
#if defined(__x86_64__)
#define BUFPOOL_GLIBC_OLDEST "GLIBC_2.2.5"
#else
#define BUFPOOL_GLIBC_OLDEST "GLIBC_2.17"
#endif
__asm__(".symver pthread_create, pthread_create@" BUFPOOL_GLIBC_OLDEST);
#undef BUFPOOL_GLIBC_OLDEST
#endif
#endif

namespace bufpool {

Atomic<std::uint32_t> Maintenance::state;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;   // ns
Atomic<std::uint64_t> g_retry;                     // ns on the coarse clock: do not try to start the thread before then

#if defined(_WIN32)

DWORD WINAPI thread(void*) {
    Maintenance::run();
    return 0;
}

bool start_thread() noexcept {
    const HANDLE handle = CreateThread(nullptr, 1 << 16, &thread, nullptr, STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
    if (handle == nullptr) return false;
    CloseHandle(handle);
    return true;
}

void sleep_ns(std::uint64_t ns) noexcept { Sleep(static_cast<DWORD>(ns / 1'000'000)); }

#else

void* thread(void*) {
    Maintenance::run();
    return nullptr;
}

bool start_thread() noexcept {
    // The thread inherits the blocked signals: all are for the program's own threads.
    sigset_t all, before;
    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, &before) != 0) return false;
    pthread_attr_t detached;
    bool started = false;
    if (pthread_attr_init(&detached) == 0) {
        pthread_t id;
        started = pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0 &&
                  pthread_create(&id, &detached, &thread, nullptr) == 0;
        pthread_attr_destroy(&detached);
    }
    sigprocmask(SIG_SETMASK, &before, nullptr);
    return started;
}

void sleep_ns(std::uint64_t ns) noexcept {
    timespec pause{static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
    nanosleep(&pause, nullptr);
}

#endif

}  // namespace

BUFPOOL_COLD void Maintenance::start() noexcept {
    const std::uint64_t now = monotonic_ns();
    if (now < g_retry.load_relaxed()) return;
    std::uint32_t none = kNone;
    if (!state.cas_strong_acq_rel_acquire(none, kRunning)) return;
    if (start_thread()) return;
    g_retry.store_relaxed(now + kSecond);
    std::uint32_t running = kRunning;
    state.cas_strong_acq_rel_acquire(running, kNone);
}

// Ages each arena that needs it, unless `now` is 0. Returns the ns until the next round; 0: no arena needs the thread.
std::uint64_t Maintenance::round(std::uint64_t now) noexcept {
    std::uint64_t pause = 0;
    for (Arena* arena = Arena::newest(); arena != nullptr; arena = arena->next_arena_) {
        if (!arena->needs_maintenance()) continue;
        const std::uint64_t tick = arena->tick_ns_.load_relaxed();
        if (now != 0) arena->check_clock();
        if (pause == 0 || tick < pause) pause = tick;
    }
    return pause;
}

void Maintenance::run() noexcept {
#if defined(__linux__)
    prctl(PR_SET_NAME, "bufpool");
#endif
    for (;;) {
        const std::uint64_t pause = round(monotonic_ns());
        if (pause == 0) {
            // A pool that gets memory from now on starts a thread, or sees this one still running and is found by round(0).
            std::uint32_t running = kRunning;
            if (!state.cas_strong_acq_rel_acquire(running, kNone)) return;
            fence_seq_cst();
            std::uint32_t none = kNone;
            if (round(0) == 0 || !state.cas_strong_acq_rel_acquire(none, kRunning)) return;
            continue;
        }
        sleep_ns(pause < kSecond / 500 ? kSecond / 500 : pause);
    }
}

void Maintenance::forget() noexcept {
    std::uint32_t running = kRunning;
    state.cas_strong_acq_rel_acquire(running, kNone);
    g_retry.store_relaxed(0);
}

}  // namespace bufpool
