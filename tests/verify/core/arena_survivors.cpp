// Jobs with small blocks of which a few stay in use: what a slab has idle between those serves other sizes, and no block in use
// changes. One thread with exact bounds, then two threads at random.
#include "arenas.hpp"

#include <cstring>
#include <thread>
#include <vector>

using namespace bufpool;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::uint64_t kTenSeconds = 10'000'000'000;

struct Held {
    unsigned char* address;
    std::size_t nbytes;
    unsigned char stamp;
};

Held take(Arena* arena, std::size_t nbytes, unsigned char stamp) {
    const Block block = arena->acquire(nbytes);
    CHECK(block.address != nullptr);
    const Held held{static_cast<unsigned char*>(block.address), nbytes, stamp};
    std::memset(held.address, stamp, nbytes);
    return held;
}

void release(const Held& held) {
    for (std::size_t i = 0; i < held.nbytes; ++i) CHECK(held.address[i] == held.stamp);
    CHECK(Arena::release(held.address));
}

// Fourteen sizes in turn, 48 MiB each, of which one block in 400 survives: little more is resident than one job needs.
std::vector<Held> jobs(Arena* arena) {
    std::vector<Held> survivors;
    for (std::size_t nbytes = 2000; nbytes < 30'000; nbytes += 2000) {
        std::vector<Held> blocks;
        for (std::size_t i = 0; i < 48 * kMiB / nbytes; ++i) {
            blocks.push_back(take(arena, nbytes, static_cast<unsigned char>(i + nbytes / 2000)));
        }
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            if (i % 400 == 0) survivors.push_back(blocks[i]);
            else release(blocks[i]);
        }
        CHECK(arena->counters.mapped.load_relaxed() < 104 * kMiB);
    }
    CHECK(dropped(arena, Drop::over_max_retained) < 64 * kMiB);   // the jobs served each other
    return survivors;
}

unsigned slabs(Arena* arena) {
    unsigned count = 0;
    for (const SizeClass& klass : arena->classes) {
        for (const Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) ++count;
    }
    return count;
}

void jobs_again_and_again() {
    Arena* const arena = make({kUnlimited, kUnlimited, 0, kTenSeconds});
    unsigned first = 0;
    for (unsigned round = 0; round < 6; ++round) {
        const std::vector<Held> survivors = jobs(arena);
        const std::uint64_t before = arena->counters.mapped.load_relaxed();
        arena->trim(0);
        CHECK(arena->counters.mapped.load_relaxed() < before / 8);
        // Blocks on granules that were released are handed out as new ones.
        for (std::size_t nbytes = 2000; nbytes < 30'000; nbytes += 2000) {
            std::vector<Held> blocks;
            for (std::size_t i = 0; i < 4 * kMiB / nbytes; ++i) blocks.push_back(take(arena, nbytes, 77));
            for (const Held& each : blocks) release(each);
        }
        for (const Held& each : survivors) release(each);
        arena->trim(0);
        CHECK(arena->counters.mapped.load_relaxed() == 0);
        if (round == 0) first = slabs(arena);
    }
    CHECK(slabs(arena) < first * 2);   // slabs that have gone are used again
    all_back(arena);
}

struct Random {
    std::uint64_t state;
    std::uint64_t operator()() {                                             // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
    }
};

void work(Arena* arena, unsigned phases, std::uint64_t seed) {
    Random random{seed};
    std::vector<Held> survivors;
    for (unsigned phase = 0; phase < phases; ++phase) {
        const std::size_t nbytes = 500 + random() % 12 * 4999;
        const std::size_t count = (random() % 40 + 1) * kMiB / nbytes;
        const std::uint64_t share = random() % 3 == 0 ? 7 : 50 + random() % 500;
        std::vector<Held> blocks;
        for (std::size_t i = 0; i < count; ++i) blocks.push_back(take(arena, nbytes, static_cast<unsigned char>(random())));
        for (const Held& each : blocks) {
            if (random() % share == 0) survivors.push_back(each);
            else release(each);
        }
        // Some survivors go, in any order; rarely all of them.
        const std::uint64_t keep = random() % 8 == 0 ? 0 : 20'000;
        while (survivors.size() > keep || (random() % 4 != 0 && !survivors.empty())) {
            std::swap(survivors[random() % survivors.size()], survivors.back());
            release(survivors.back());
            survivors.pop_back();
        }
        if (random() % 8 == 0) arena->trim(random() % 2 == 0 ? 0 : random() % (64 * kMiB));
    }
    for (const Held& each : survivors) release(each);
}

void at_random(unsigned phases, const Settings& settings) {
    Arena* const arena = make(settings);
    std::thread other(work, arena, phases, 88172645463325252u);
    work(arena, phases, 11400714819323198485u);
    other.join();
    all_back(arena);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned phases = static_cast<unsigned>(std::atoi(argv[1]));
    jobs_again_and_again();
    at_random(phases, {kUnlimited, kUnlimited, 0, kTenSeconds});
    at_random(phases, {kUnlimited, 8 * kMiB, 0, kTenSeconds});
    at_random(phases, {256 * kMiB, kUnlimited, 0, kTenSeconds});
    std::printf("%u operations, 0 violations\n", 6 * phases);
    return 0;
}
