// What the arena's source files share and nobody above may use.
#pragma once

#include <initializer_list>

#include "arena.hpp"
#include "bufpool/_core/clock.hpp"
#include "page_map.hpp"

namespace bufpool {

constexpr std::uint64_t kLost = ~std::uint64_t{0};   // returned by Arena::move_pages_in in place of bytes

extern PageMap g_pages;

// The cache that this thread used last. With glibc it may stand in the static part of thread-local storage, which saves
// a call of __tls_get_addr (measured 3 ns of 12); musl refuses that in a module loaded at run time.
#if defined(__GLIBC__)
#define BUFPOOL_TLS_MODEL __attribute__((tls_model("initial-exec")))
#else
#define BUFPOOL_TLS_MODEL
#endif
// __thread and not thread_local where there is one: the latter asks at each use whether an initialiser must run first.
#if defined(__GNUC__) || defined(__clang__)
#define BUFPOOL_THREAD_LOCAL __thread
#else
#define BUFPOOL_THREAD_LOCAL thread_local
#endif
extern BUFPOOL_THREAD_LOCAL ThreadCache* t_recent BUFPOOL_TLS_MODEL;
extern BUFPOOL_THREAD_LOCAL ThreadCache* t_caches;   // all of this thread

// The page heap's stamps.
inline std::uint32_t to_ms(std::uint64_t ns) noexcept { return static_cast<std::uint32_t>(ns / 1'000'000); }
inline std::uint32_t now_ms() noexcept { return to_ms(monotonic_ns()); }

inline ThreadCache* Arena::cache(bool may_map) noexcept {
    ThreadCache* const recent = t_recent;
    if (BUFPOOL_LIKELY(recent != nullptr && recent->arena == this)) return recent;
    return adopt_cache(may_map);
}

}  // namespace bufpool
