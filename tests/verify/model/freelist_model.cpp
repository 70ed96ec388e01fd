// The free list under the model checker: its header as it stands, every atomic operation a step of the explorer.
//
//   freelist_model SCENARIO PREEMPTIONS STALE
//
// In each scenario threads take blocks, write into them, and give them back. At every step: no block has two owners, and
// an owner sees his predecessor's last bytes. At the end: free and owned blocks are all there are, and the counts are
// right.
#include "freelist.hpp"

#include <cstring>

using bufpool::Atomic;
using bufpool::Chain;
using bufpool::FreeList;
using bufpool::kNone;
using bufpool::kOwned;
using model::Bounds;
using model::Explorer;

namespace {

constexpr std::uint32_t kBlocks = 3;

struct Node {
    Atomic<std::uint32_t> next;
    Atomic<std::uint32_t> depth;
};

// The list, and what each thread does with the blocks that it owns.
struct World {
    explicit World(Explorer& explorer) : e(explorer) {
        for (std::uint32_t block = kBlocks; block-- > 0;) {
            owner[block] = e.self();
            give(block);
        }
    }

    void own(std::uint32_t block) {
        e.check(block < kBlocks, "a popped index is a block's");
        if (e.failed()) return;
        e.check(owner[block] == -1, "a block has one owner");
        owner[block] = e.self();
        nodes[block].next.store_relaxed(kOwned);
        e.check(!bytes[block].raced(), "an owner sees his predecessor's last bytes");
        bytes[block].store_relaxed(static_cast<std::uint32_t>(e.self()));
    }
    void disown(std::uint32_t block) {
        e.check(!bytes[block].raced(), "nobody else writes into an owned block");
        owner[block] = -1;
    }

    std::uint32_t take() {
        std::uint32_t left = 0;
        const std::uint32_t block = list.pop(nodes, left);
        if (block == kNone || e.failed()) return kNone;
        ++popped;
        e.check(left < kBlocks, "a pop knows how many remain");
        own(block);
        return block;
    }
    void give(std::uint32_t block) {
        if (e.failed()) return;
        disown(block);
        list.push(nodes, block);
    }
    void turn() {
        const std::uint32_t block = take();
        if (block != kNone) give(block);
    }
    // As Arena::refill does: the links are read before the marks overwrite them.
    Chain take_chain(bool all, std::uint32_t most, std::uint32_t* blocks) {
        Chain chain = all ? list.pop_all(nodes) : list.pop_some(nodes, most);
        popped += chain.count;
        e.check(chain.count <= kBlocks, "a chain is no longer than the list");
        std::uint32_t index = chain.first;
        for (std::uint32_t i = 0; i < chain.count && !e.failed(); ++i) {
            blocks[i] = index;
            e.check(index < kBlocks, "a chain holds blocks");
            if (e.failed()) break;
            index = nodes[index].next.load_relaxed();
        }
        for (std::uint32_t i = 0; i < chain.count && !e.failed(); ++i) own(blocks[i]);
        return chain;
    }
    void give_chain(Chain chain, const std::uint32_t* blocks) {
        if (chain.count == 0 || e.failed()) return;
        for (std::uint32_t i = 0; i < chain.count; ++i) {
            disown(blocks[i]);
            if (i + 1 < chain.count) nodes[blocks[i]].next.store_relaxed(blocks[i + 1]);
        }
        list.push_chain(nodes, chain);
    }

    void count_pops() { e.check(list.popped() == popped, "the tag counts the pops"); }

    // When all is quiet again: the length, and every block by taking all of them.
    void settle() {
        if (e.failed()) return;
        std::uint32_t free = 0;
        for (std::uint32_t block = 0; block < kBlocks; ++block) free += owner[block] == -1;
        e.check(list.size(nodes) == free, "the height of the head is the length");
        for (; free > 0 && !e.failed(); --free) e.check(take() != kNone, "free + owned = all");
        e.check(e.failed() || take() == kNone, "no block more than there are");
    }

    Explorer& e;
    FreeList list;
    Node nodes[kBlocks];
    Atomic<std::uint32_t> bytes[kBlocks];
    int owner[kBlocks];
    std::uint64_t popped = 0;
};

// Each thread takes a block and gives it back, twice.
void turns(Explorer& e) {
    World world(e);
    auto body = [&](int) {
        world.turn();
        world.turn();
    };
    e.run(3, body);
    world.count_pops();
    world.settle();
}

// The pattern that fools a stack without a tag: two taken, the first given back, while another thread stands in a pop.
void aba(Explorer& e) {
    World world(e);
    auto body = [&](int self) {
        const std::uint32_t first = world.take();
        if (self == 0) return;                              // kept
        world.take();                                       // kept
        if (first != kNone) world.give(first);
    };
    e.run(2, body);
    world.settle();
}

// A thread cache is filled and emptied (pop_some, push) while others pop and push single blocks.
void batches(Explorer& e) {
    World world(e);
    auto body = [&](int self) {
        if (self != 0) return world.turn();
        std::uint32_t blocks[kBlocks];
        const Chain chain = world.take_chain(false, 2, blocks);
        for (std::uint32_t i = 0; i < chain.count && !e.failed(); ++i) world.give(blocks[i]);
    };
    e.run(3, body);
    world.count_pops();
    world.settle();
}

// The trimmer takes the whole list and puts it back while others take and give.
void trimming(Explorer& e) {
    World world(e);
    auto body = [&](int self) {
        if (self != 0) return world.turn();
        std::uint32_t blocks[kBlocks];
        world.give_chain(world.take_chain(true, 0, blocks), blocks);
    };
    e.run(3, body);
    world.count_pops();
    world.settle();
}

struct Named {
    const char* name;
    void (*scenario)(Explorer&);
};
constexpr Named kScenarios[] = {{"turns", turns}, {"aba", aba}, {"batches", batches}, {"trimming", trimming}};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    for (const Named& each : kScenarios) {
        if (std::strcmp(each.name, argv[1]) != 0) continue;
        Explorer explorer(Bounds{std::atoi(argv[2]), std::atoi(argv[3])});
        const bool right = explorer.explore(each.scenario);
        std::printf("%llu executions, %llu steps, %d violations\n", static_cast<unsigned long long>(explorer.executions),
                    static_cast<unsigned long long>(explorer.steps), right ? 0 : 1);
        return right ? 0 : 1;
    }
    return 2;
}
