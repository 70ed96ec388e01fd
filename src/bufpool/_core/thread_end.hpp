// A word of each thread's own, and a call with that word when the thread ends.
//
// It is the system's: C++'s thread_local with a destructor would need the C++ run-time library. And the call gets the word
// handed to it, because on macOS thread_local variables may be gone by then: read in the call, they are new ones, all zero.
#pragma once

#include "atomics.hpp"

#if defined(_WIN32)
#define BUFPOOL_THREAD_END WINAPI
#else
#include <pthread.h>
#define BUFPOOL_THREAD_END
#endif

// glibc 2.34 moved these from libpthread into libc, where they have a new version beside the old one. By the old one a
// module that is compiled on a new system runs on an older one too, so that its wheel may say manylinux_2_17.
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

// Another library's call at the thread's end may come after ours and use the pool once more. What is kept then would never
// be handed over: the last of the system's rounds may be this one. So it is noted for good that the end was.
class ThreadEnd {
  public:
#if defined(_WIN32)
    using Call = PFLS_CALLBACK_FUNCTION;

    explicit ThreadEnd(Call call) noexcept : key_(FlsAlloc(call)) {}

    bool can_keep(bool) const noexcept { return key_ != FLS_OUT_OF_INDEXES; }
    bool keep(void* word) noexcept { return FlsSetValue(key_, word) != 0; }

    // The word is the fiber's, and the call comes when a fiber is deleted too, by whichever thread does that: whose word
    // it is, and how old, nobody knows. The thread's variables are still there, so what they say is right.
    static void* handed_over(void*, void* variable) noexcept { return variable; }
    void* kept() const noexcept { return nullptr; }
    static bool comes_again(void*) noexcept { return false; }
    // Of a thread with fibers it is not known: the call may have been a fiber's.
    void set_over(bool& variable) noexcept { variable = !IsThreadAFiber(); }
    bool is_over(bool variable) const noexcept { return variable; }

  private:
    const DWORD key_;
#else
    using Call = void (*)(void*);

    explicit ThreadEnd(Call call) noexcept : made_(pthread_key_create(&key_, call) == 0) {}

    // Whether a word may be kept.
    bool can_keep(bool may_allocate) const noexcept { return made_ && (may_allocate || has_place()); }
    // The thread's word from now on; the call comes if it is not null. False: no memory for its place.
    bool keep(void* word) noexcept { return pthread_setspecific(key_, word) == 0; }

    // What the thread kept, by the word of the call and by its variable: the variable may be a new one.
    static void* handed_over(void* word, void*) noexcept { return word; }
    void* kept() const noexcept { return made_ ? pthread_getspecific(key_) : nullptr; }
#if defined(__APPLE__)
    // The variable would be a new one. The word has its place and cannot fail; for it the call comes again, in each of the
    // system's few rounds. Elsewhere that must not be: ThreadSanitizer has left the thread by the last one.
    void set_over(bool&) noexcept { keep(this); }
    bool is_over(bool) const noexcept { return kept() == this; }
    // Asked first: a variable that is named in the last round is made anew, and its memory is freed by nobody.
    bool comes_again(void* word) noexcept { return word == this && keep(this); }
#else
    void set_over(bool& variable) noexcept { variable = true; }
    bool is_over(bool variable) const noexcept { return variable; }
    static bool comes_again(void*) noexcept { return false; }
#endif

  private:
    // Whether it takes no memory to keep a word.
    bool has_place() const noexcept {
#if defined(__GLIBC__)
        // The first 32 keys (PTHREAD_KEY_2NDLEVEL_SIZE) are in the thread's descriptor; malloc gives room for the others.
        return key_ < 32 || pthread_getspecific(key_) != nullptr;
#elif defined(__APPLE__) || defined(__linux__)
        return true;   // macOS, musl and bionic have the words of all keys in the thread itself
#else
        return pthread_getspecific(key_) != nullptr;
#endif
    }

    pthread_key_t key_;
    const bool made_;
#endif
};

}  // namespace bufpool
