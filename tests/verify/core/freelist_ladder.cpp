// The ladder of crossbeam's tests for the shared free list: smoke, length, batches, wrap-around, many threads. The header is
// compiled unchanged; the harness's own bookkeeping is relaxed, so that it adds no order that the list itself lacks.
#include "check.hpp"
#include "bufpool/_core/freelist.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

using bufpool::Atomic;
using bufpool::Chain;
using bufpool::FreeList;
using bufpool::kNone;
using bufpool::kOwned;

struct Node {
    Atomic<std::uint32_t> next;
    Atomic<std::uint32_t> depth;
    std::uint64_t payload = 0;              // written by the owner alone: a race here is a block owned twice
    std::atomic<std::uint32_t> owners{0};
};

struct Nodes {
    explicit Nodes(std::size_t count) : all(new Node[count]) {}
    Node& operator[](std::uint32_t i) noexcept { return all[i]; }
    std::unique_ptr<Node[]> all;
};

static std::uint32_t pop(FreeList& list, Nodes& nodes) {
    std::uint32_t left = 0;
    return list.pop(nodes, left);
}

static void smoke() {
    FreeList list;
    Nodes nodes(4);
    CHECK(pop(list, nodes) == kNone);
    for (std::uint32_t i = 0; i < 4; ++i) {
        CHECK(list.size(nodes) == i);
        list.push(nodes, i);
    }
    for (std::uint32_t i = 4; i-- > 0;) {
        std::uint32_t left = 99;
        CHECK(list.pop(nodes, left) == i);
        CHECK(left == i && list.size(nodes) == i);
    }
    CHECK(pop(list, nodes) == kNone && list.popped() == 4);
}

static void batches() {
    FreeList list;
    Nodes nodes(10);
    for (std::uint32_t i = 0; i < 10; ++i) list.push(nodes, i);
    Chain some = list.pop_some(nodes, 3);
    CHECK(some.count == 3 && some.first == 9 && list.size(nodes) == 7);
    list.push_chain(nodes, some);
    CHECK(list.size(nodes) == 10 && pop(list, nodes) == 9 && list.size(nodes) == 9);
    Chain all = list.pop_all(nodes);
    CHECK(all.count == 9 && all.first == 8 && list.size(nodes) == 0 && list.pop_some(nodes, 5).count == 0);
    list.push_chain(nodes, all);
    for (std::uint32_t i = 9; i-- > 0;) CHECK(pop(list, nodes) == i);
    CHECK(list.popped() == 3 + 1 + 9 + 9);
}

static void wrap_around() {
    FreeList list;
    Nodes nodes(2);
    list.set_tag(0xFFFFFFFEu);
    list.push(nodes, 0);
    list.push(nodes, 1);
    CHECK(pop(list, nodes) == 1 && list.popped() == 0xFFFFFFFFull);
    CHECK(pop(list, nodes) == 0 && list.popped() == 0x100000000ull);
    list.push(nodes, 0);
    CHECK(list.size(nodes) == 1 && pop(list, nodes) == 0 && list.popped() == 0x100000001ull);
}

static void many_threads(unsigned threads, unsigned rounds) {
    constexpr std::uint32_t kBlocks = 12;
    FreeList list;
    Nodes nodes(kBlocks);
    list.set_tag(0xFFFFFFFFu - 1000);           // the wrap comes early in the run
    for (std::uint32_t i = 0; i < kBlocks; ++i) list.push(nodes, i);
    auto own = [&](std::uint32_t index) {
        CHECK(nodes[index].owners.fetch_add(1, std::memory_order_relaxed) == 0);
        nodes[index].payload += 1;
        nodes[index].next.store_relaxed(kOwned);
    };
    auto disown = [&](std::uint32_t index) { nodes[index].owners.fetch_sub(1, std::memory_order_relaxed); };
    std::vector<std::thread> crew;
    for (unsigned t = 0; t < threads; ++t) {
        crew.emplace_back([&, t] {
            std::uint32_t mine[4], count = 0;
            for (unsigned r = 0; r < rounds; ++r) {
                const unsigned kind = (r * 7 + t) % 8;
                if (kind == 0) {                                   // a whole list taken and put back, as trimming does
                    Chain all = list.pop_all(nodes);
                    list.push_chain(nodes, all);
                } else if (kind == 1 && count == 0) {              // a batch, as the refill of a thread cache does
                    Chain some = list.pop_some(nodes, 3);
                    std::uint32_t index = some.first;
                    for (std::uint32_t i = 0; i < some.count; ++i) {
                        const std::uint32_t next = nodes[index].next.load_relaxed();
                        own(index);
                        mine[count++] = index;
                        index = next;
                    }
                } else if (count < 4 && (kind & 1)) {
                    const std::uint32_t index = pop(list, nodes);
                    if (index == kNone) continue;
                    own(index);
                    mine[count++] = index;
                } else if (count > 0) {
                    disown(mine[--count]);
                    list.push(nodes, mine[count]);
                }
            }
            while (count > 0) {
                disown(mine[--count]);
                list.push(nodes, mine[count]);
            }
        });
    }
    for (std::thread& each : crew) each.join();
    CHECK(list.size(nodes) == kBlocks);
    std::vector<bool> seen(kBlocks);
    for (std::uint32_t i = 0; i < kBlocks; ++i) {
        const std::uint32_t index = pop(list, nodes);
        CHECK(index < kBlocks && !seen[index]);
        seen[index] = true;
    }
    CHECK(pop(list, nodes) == kNone);
}

int main(int, char** argv) {
    smoke();
    batches();
    wrap_around();
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[1]));
    many_threads(1, rounds);
    many_threads(4, rounds);
    std::printf("%u operations, 0 violations\n", 5 * rounds);
    return 0;
}
