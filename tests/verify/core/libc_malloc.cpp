// glibc's thresholds: raised once, whichever of several threads is first, to the most that glibc itself would.
#include "bufpool/memory/core/libc_malloc.hpp"

#include "check.hpp"

#include <thread>
#include <vector>

#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#include <malloc.h>
#define BUFPOOL_ON_GLIBC 1
#else
#define BUFPOOL_ON_GLIBC 0  // or malloc is a sanitizer's
#endif

using namespace bufpool;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr unsigned kThreads = 4;

#if BUFPOOL_ON_GLIBC
// Whether a block of this size gets a map of its own. It is not freed: that would raise the threshold.
bool maps(std::size_t bytes) {
#if __GLIBC_PREREQ(2, 33)
    const auto count = [] { return mallinfo2().hblks; };
#else
    const auto count = [] { return mallinfo().hblks; };
#endif
    const auto before = count();
    void* volatile block = std::malloc(bytes);
    CHECK(block != nullptr);
    return count() > before;
}
#endif

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[1]));
#if BUFPOOL_ON_GLIBC
    CHECK(maps(kMiB) && maps(31 * kMiB));
#endif
#if defined(__GLIBC__)
    CHECK(!malloc_configured());
#endif
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
        threads.emplace_back([rounds] {
            for (unsigned round = 0; round < rounds; ++round) {
                if (!malloc_configured()) configure_malloc(true);
                CHECK(malloc_configured());
            }
        });
    }
    for (std::thread& each : threads) each.join();
#if BUFPOOL_ON_GLIBC
    CHECK(!maps(kMiB) && !maps(31 * kMiB));
    CHECK(maps(33 * kMiB));
#endif
    std::printf("%u operations, 0 violations\n", kThreads * rounds);
    return 0;
}
