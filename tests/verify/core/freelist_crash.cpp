// Death in the middle: the free list in shared memory, and processes that are killed while they change it.
//
//   freelist_crash KILLS
//
// First the kernel steps a process through each operation and kills it after the k-th instruction, for every k there is.
// Then processes work on one list at full speed and are killed at random, KILLS times. After each death the list must be
// whole: no block twice, none that a client owns, its counts right, and no more lost than the dead one had in hand. This
// is also why a fork may come at any instruction of another thread: the child sees what a death there leaves.
#include "check.hpp"
#include "bufpool/_core/freelist.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <random>

using bufpool::Atomic;
using bufpool::Chain;
using bufpool::FreeList;
using bufpool::kNone;
using bufpool::kOwned;

namespace {

constexpr std::uint32_t kBatch = 3;

struct Node {
    Atomic<std::uint32_t> next;
    Atomic<std::uint32_t> depth;
    std::atomic<std::uint32_t> owned;   // noted by a client that has the block for sure: after a take, before a return
};

struct World {
    FreeList list;
    std::uint32_t blocks;
    std::atomic<std::uint32_t> stop;
    Node nodes[1];                      // `blocks` of them
};

World* make_world(std::uint32_t blocks) {
    const std::size_t bytes = sizeof(World) + blocks * sizeof(Node);
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    World* const world = static_cast<World*>(memory);   // zero-filled, which is right for all but the list's head
    new (&world->list) FreeList;
    world->blocks = blocks;
    for (std::uint32_t i = blocks; i-- > 0;) world->list.push(world->nodes, i);
    return world;
}

void drop_world(World* world) { munmap(world, sizeof(World) + world->blocks * sizeof(Node)); }

// --- what a client does ---

// Its node is the client's too: what stood there before must not be what a return relies on.
void scramble(World& world, std::uint32_t index) { world.nodes[index].depth.store_relaxed(0xDEAD); }

void own(World& world, std::uint32_t index) {
    world.nodes[index].next.store_relaxed(kOwned);
    scramble(world, index);
    world.nodes[index].owned.store(1, std::memory_order_relaxed);
}
void disown(World& world, std::uint32_t index) { world.nodes[index].owned.store(0, std::memory_order_relaxed); }

void one(World& world) {
    std::uint32_t left = 0;
    const std::uint32_t index = world.list.pop(world.nodes, left);
    if (index == kNone) return;
    own(world, index);
    disown(world, index);
    world.list.push(world.nodes, index);
}
void put_back(World& world, Chain chain) {
    std::uint32_t index = chain.first;
    for (std::uint32_t i = 0; i < chain.count; ++i, index = world.nodes[index].next.load_relaxed()) scramble(world, index);
    world.list.push_chain(world.nodes, chain);
}
void some(World& world) { put_back(world, world.list.pop_some(world.nodes, kBatch)); }
void all(World& world) { put_back(world, world.list.pop_all(world.nodes)); }

struct Operation {
    const char* name;
    void (*run)(World&);
    std::uint32_t in_hand;   // blocks that die with it, at most
};
constexpr std::uint32_t kFew = 5;
constexpr Operation kOperations[] = {{"pop and push: ", one, 1}, {"some: ", some, kBatch}, {"all: ", all, kFew}};

// --- after a death ---

std::uint32_t found_whole(World& world, const char* where) {
    const std::uint32_t length = world.list.size(world.nodes);
    CHECK_IN(where, length <= world.blocks);
    const Chain chain = world.list.pop_all(world.nodes);
    CHECK_IN(where, chain.count == length);
    std::uint32_t index = chain.first;
    for (std::uint32_t i = 0; i < chain.count; ++i) {
        CHECK_IN(where, index < world.blocks);
        Node& node = world.nodes[index];
        CHECK_IN(where, node.owned.load(std::memory_order_relaxed) == 0);
        CHECK_IN(where, node.depth.load_relaxed() == chain.count - i);
        node.owned.store(2, std::memory_order_relaxed);         // a second visit would find this
        index = node.next.load_relaxed();
    }
    CHECK_IN(where, index == kNone);
    index = chain.first;
    for (std::uint32_t i = 0; i < chain.count; ++i, index = world.nodes[index].next.load_relaxed()) disown(world, index);
    world.list.push_chain(world.nodes, chain);
    CHECK_IN(where, world.list.size(world.nodes) == length);
    return length;
}

// --- a death after every instruction ---

// False when the operation came to its end before the k-th instruction.
bool die_after(World& world, const Operation& operation, unsigned k) {
    const char* const where = operation.name;
    const pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        raise(SIGSTOP);
        operation.run(world);
        _exit(0);
    }
    int status = 0;
    CHECK_IN(where, child > 0 && waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    for (unsigned i = 0; i < k; ++i) {
        CHECK_IN(where, ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0);
        CHECK_IN(where, waitpid(child, &status, 0) == child);
        if (WIFEXITED(status)) return false;
        CHECK_IN(where, WIFSTOPPED(status));
    }
    kill(child, SIGKILL);
    CHECK_IN(where, waitpid(child, &status, 0) == child);
    return true;
}

unsigned every_instruction() {
    // On one processor each step is a plain switch between the two processes, several times faster.
    cpu_set_t before, one_of_them;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&one_of_them);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one_of_them) == 0; ++cpu) {
        if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one_of_them);
    }
    sched_setaffinity(0, sizeof one_of_them, &one_of_them);
    unsigned deaths = 0;
    for (const Operation& operation : kOperations) {
        const char* const where = operation.name;
        bool lost_any = false;
        for (unsigned k = 1;; ++k) {
            World* const world = make_world(kFew);
            const bool died = die_after(*world, operation, k);
            const std::uint32_t whole = found_whole(*world, where);
            CHECK_IN(where, whole + (died ? operation.in_hand : 0) >= kFew);
            lost_any |= whole < kFew;
            drop_world(world);
            if (!died) break;
            ++deaths;
        }
        CHECK_IN(where, lost_any);   // else the deaths did not fall into the operation
    }
    sched_setaffinity(0, sizeof before, &before);
    return deaths;
}

// --- deaths at random, among others at full speed ---

pid_t start(World& world) {
    const pid_t child = fork();
    if (child == 0) {
        for (unsigned i = 0; world.stop.load(std::memory_order_relaxed) == 0; ++i) {
            if (i % 7 == 6) some(world);
            else one(world);
        }
        _exit(0);
    }
    return child;
}

unsigned at_random(unsigned kills) {
    const char* const where = "at random: ";
    constexpr unsigned kWorkers = 3;
    World* const world = make_world(kWorkers * kBatch + kills * kBatch);
    pid_t workers[kWorkers];
    for (pid_t& each : workers) CHECK_IN(where, (each = start(*world)) > 0);
    std::minstd_rand random(7);
    for (unsigned i = 0; i < kills; ++i) {
        const timespec pause{0, static_cast<long>(random() % 400'000)};
        nanosleep(&pause, nullptr);
        pid_t& victim = workers[random() % kWorkers];
        kill(victim, SIGKILL);
        int status = 0;
        CHECK_IN(where, waitpid(victim, &status, 0) == victim && WIFSIGNALED(status));
        CHECK_IN(where, (victim = start(*world)) > 0);
    }
    world->stop.store(1, std::memory_order_relaxed);
    for (const pid_t each : workers) {
        int status = 0;
        CHECK_IN(where, waitpid(each, &status, 0) == each && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK_IN(where, found_whole(*world, where) + kills * kBatch >= world->blocks);
    drop_world(world);
    return kills;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned stepped = every_instruction();
    const unsigned random = at_random(static_cast<unsigned>(std::atoi(argv[1])));
    std::printf("%u deaths, each after one more instruction, and %u at random, 0 violations\n", stepped, random);
    return 0;
}
