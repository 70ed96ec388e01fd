// The clock: coarse for ages, precise for waiting.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#if !defined(WIN32_LEAN_AND_MEAN)
#define WIN32_LEAN_AND_MEAN
#endif
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <time.h>
#endif

namespace bufpool {

#if defined(_WIN32)

// Milliseconds, and cheap; for ageing, not for timing.
inline std::uint64_t monotonic_ns() noexcept { return GetTickCount64() * 1000000u; }

// Exact, from a zero of its own; for waiting.
inline std::uint64_t precise_ns() noexcept {
    LARGE_INTEGER ticks, each_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&each_second);
    const auto count = static_cast<std::uint64_t>(ticks.QuadPart);
    const auto frequency = static_cast<std::uint64_t>(each_second.QuadPart);
    return count / frequency * 1000000000u + count % frequency * 1000000000u / frequency;
}

#else

inline std::uint64_t read_clock(clockid_t clock) noexcept {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

// Milliseconds, and cheap; for ageing, not for timing.
inline std::uint64_t monotonic_ns() noexcept {
#if defined(CLOCK_MONOTONIC_COARSE)
    return read_clock(CLOCK_MONOTONIC_COARSE);
#else
    return read_clock(CLOCK_MONOTONIC);
#endif
}

// Exact, from a zero of its own; for waiting.
inline std::uint64_t precise_ns() noexcept { return read_clock(CLOCK_MONOTONIC); }

#endif

}  // namespace bufpool
