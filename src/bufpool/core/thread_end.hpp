// L0 · A word of each thread's own, and a call with that word when the thread ends.
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

class ThreadEnd {
  public:
#if defined(_WIN32)
    using Call = PFLS_CALLBACK_FUNCTION;

    explicit ThreadEnd(Call call) noexcept : key_(FlsAlloc(call)) {}

    bool can_keep(bool) const noexcept { return key_ != FLS_OUT_OF_INDEXES; }
    bool keep(void* word) noexcept { return FlsSetValue(key_, word) != 0; }

  private:
    const DWORD key_;
#else
    using Call = void (*)(void*);

    explicit ThreadEnd(Call call) noexcept : made_(pthread_key_create(&key_, call) == 0) {}

    // Whether a word may be kept. glibc has the first 32 keys in the thread itself, and asks malloc for room for the others.
    bool can_keep(bool may_allocate) const noexcept {
        return made_ && (may_allocate || key_ < 32 || pthread_getspecific(key_) != nullptr);
    }
    // The thread's word from now on; the call comes if it is not null. False: no memory for its place.
    bool keep(void* word) noexcept { return pthread_setspecific(key_, word) == 0; }

  private:
    pthread_key_t key_;
    const bool made_;
#endif
};

}  // namespace bufpool
