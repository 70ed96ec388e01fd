// A thread-local pointer, and a callback that gets it when the thread ends.
//
// It uses the system's thread-specific data: C++'s thread_local with a destructor would need the C++ run-time library. The
// callback gets the pointer as its argument, because on macOS thread_local variables may be gone by then: read in the
// callback, they are new ones, all zero.
#pragma once

#include "atomics.hpp"

#if defined(_WIN32)
#define BUFPOOL_THREAD_END WINAPI
#else
#include <pthread.h>
#define BUFPOOL_THREAD_END
#endif

// glibc 2.34 moved these from libpthread into libc and gave them a second symbol version. With the old version a module
// that is compiled on a new system also runs on an older one, so its wheel may be labelled manylinux_2_17.
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34) && (defined(__x86_64__) || defined(__aarch64__))
#if defined(__x86_64__)
#define BUFPOOL_GLIBC_OLDEST "GLIBC_2.2.5"
#else
#define BUFPOOL_GLIBC_OLDEST "GLIBC_2.17"
#endif
__asm__(".symver pthread_key_create, pthread_key_create@" BUFPOOL_GLIBC_OLDEST);
__asm__(".symver pthread_getspecific, pthread_getspecific@" BUFPOOL_GLIBC_OLDEST);
__asm__(".symver pthread_setspecific, pthread_setspecific@" BUFPOOL_GLIBC_OLDEST);
#undef BUFPOOL_GLIBC_OLDEST
#endif
#endif

namespace bufpool {

// Another library's callback may run after ours and use the pool once more. A pointer that is set then might never reach our
// callback again, because this round of the system's callbacks may be the last. So a flag records that the thread has ended.
class ThreadEnd {
  public:
#if defined(_WIN32)
    using Call = PFLS_CALLBACK_FUNCTION;

    explicit ThreadEnd(Call call) noexcept : key_(FlsAlloc(call)) {}

    bool can_set(bool) const noexcept { return key_ != FLS_OUT_OF_INDEXES; }
    bool set(void* word) noexcept { return FlsSetValue(key_, word) != 0; }

    // The pointer belongs to a fiber, and the callback also runs when a fiber is deleted, in whichever thread deletes it.
    // So the pointer may be another thread's, and stale. The thread's own variables still exist, and they are right.
    static void* value_at_end(void*, void* variable) noexcept { return variable; }
    void* get() const noexcept { return nullptr; }
    static bool is_repeat_call(void*) noexcept { return false; }
    // In a thread with fibers the callback may have been a fiber's, so the thread may go on.
    void mark_ended(bool& variable) noexcept { variable = !IsThreadAFiber(); }
    bool has_ended(bool variable) const noexcept { return variable; }

  private:
    const DWORD key_;
#else
    using Call = void (*)(void*);

    explicit ThreadEnd(Call call) noexcept : made_(pthread_key_create(&key_, call) == 0) {}

    // Whether a pointer can be set.
    bool can_set(bool may_allocate) const noexcept { return made_ && (may_allocate || has_place()); }
    // Sets the thread's pointer; the callback runs if it is not null. False: no memory for the slot.
    bool set(void* word) noexcept { return pthread_setspecific(key_, word) == 0; }

    // What the thread had set. `word` is the callback's argument; `variable` is the thread's copy, which may be a new one.
    static void* value_at_end(void* word, void*) noexcept { return word; }
    void* get() const noexcept { return made_ ? pthread_getspecific(key_) : nullptr; }
#if defined(__APPLE__)
    // The flag cannot be a thread_local variable here, which would be a new one. So the pointer itself is the flag: its slot
    // exists, so that setting it cannot fail. The callback then runs again in each of the system's few rounds. On other
    // systems that must not happen, because ThreadSanitizer has left the thread by the last round.
    void mark_ended(bool&) noexcept { set(this); }
    bool has_ended(bool) const noexcept { return get() == this; }
    // Call this first: a thread_local variable that is read in the last round is created anew, and its memory leaks.
    bool is_repeat_call(void* word) noexcept { return word == this && set(this); }
#else
    void mark_ended(bool& variable) noexcept { variable = true; }
    bool has_ended(bool variable) const noexcept { return variable; }
    static bool is_repeat_call(void*) noexcept { return false; }
#endif

  private:
    // Whether setting the pointer needs no memory.
    bool has_place() const noexcept {
#if defined(__GLIBC__)
        // The first 32 keys (PTHREAD_KEY_2NDLEVEL_SIZE) are in the thread's descriptor; glibc calls malloc for the others.
        return key_ < 32 || pthread_getspecific(key_) != nullptr;
#elif defined(__APPLE__) || defined(__linux__)
        return true;   // macOS, musl and bionic store the values of all keys in the thread itself
#else
        return pthread_getspecific(key_) != nullptr;
#endif
    }

    pthread_key_t key_;
    const bool made_;
#endif
};

}  // namespace bufpool
