// Size classes: which block size serves a request.
//
// Multiples of 64 bytes up to 512, then eight steps to a doubling, as in jemalloc (Evans 2006) and mimalloc: a block
// is never more than 12.5 % larger than the request (above 455 bytes), and every size is a multiple of a
// cache line; from 32 KiB up it is a multiple of a 4 KiB page.
//
//   request   1..64  65..128  ...  449..512 | 513..576 577..640 ... 961..1024 | 1025..1152 ...
//   class        0       1              7   |     8        9            15    |     16     ...
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace bufpool {

constexpr std::size_t kGranule = 64;                             // bytes; the smallest block and alignment
constexpr std::size_t kMaxBlock = std::size_t{1} << 46;          // bytes; 64 TiB, half of a 47-bit address space
constexpr std::uint32_t kClassCount = 8 + (46 - 9) * 8;          // 512 B ... 64 TiB

inline unsigned floor_log2(std::size_t n) noexcept {             // n > 0
#if defined(_MSC_VER)
    unsigned long bit;
    _BitScanReverse64(&bit, n);
    return bit;
#else
    return 63u - static_cast<unsigned>(__builtin_clzll(n));
#endif
}

// The class that serves `nbytes`, 0 < nbytes <= kMaxBlock.
inline std::uint32_t class_of(std::size_t nbytes) noexcept {
    const std::size_t last = nbytes - 1;
    if (last < 1024) return static_cast<std::uint32_t>(last >> 6);   // up to here all steps are 64 bytes
    const unsigned exponent = floor_log2(last);                  // last is in [2^e, 2^(e+1))
    return static_cast<std::uint32_t>(((exponent - 8) << 3) + ((last >> (exponent - 3)) & 7));
}

// Bytes in a block of class `index`.
constexpr std::size_t class_size(std::uint32_t index) noexcept {
    return index < 8 ? (std::size_t{index} + 1) << 6
                     : (std::size_t{index & 7} + 9) << ((index >> 3) + 5);
}

static_assert(class_size(0) == 64 && class_size(7) == 512 && class_size(8) == 576 && class_size(15) == 1024);
static_assert(class_size(kClassCount - 1) == kMaxBlock);

}  // namespace bufpool
