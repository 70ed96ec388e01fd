// A small model checker: every interleaving of a few threads up to a bound, under a weak memory model.
//
// Search. Stateless, depth first, by replay, as in CHESS (Musuvathi & Qadeer 2007): an execution is a list of choices;
// the next one takes another branch at the last choice that has one left. A switch away from a thread that could go on
// is a preemption, and an execution has at most `preemptions` of them: bugs need few (most of them two).
//
// Memory. Each location keeps all values that were ever written to it, in order. A thread has a *view*: for each
// location, the oldest write that it may still read. A load may return any write from there on; one that is not the
// newest is a *stale read*, of which an execution has at most `stale` many. A release write carries its thread's view,
// and an acquire read takes that over; a read-modify-write reads the newest write and passes on what it carried (release
// sequences). This is release and acquire as in Kang et al. (POPL 2017), without promises: no load is delayed behind a
// later store of its thread, and a new write is the newest of its location.
#pragma once

#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace model {

constexpr int kThreads = 4;             // the last one is the main program, before and after the others
constexpr int kMain = kThreads - 1;
constexpr int kLocations = 40;

struct View {
    std::array<std::uint16_t, kLocations> oldest{};
    void join(const View& other) {
        for (int i = 0; i < kLocations; ++i) {
            if (other.oldest[i] > oldest[i]) oldest[i] = other.oldest[i];
        }
    }
};

struct Write {
    std::uint64_t value;
    View carried;
};

struct Choice {
    std::uint16_t taken, of;
};

struct Bounds {
    int preemptions;
    int stale;
};

class Explorer {
  public:
    explicit Explorer(Bounds bounds) : bounds_(bounds) {}

    // Runs `scenario` once for each way it can go. It makes the shared state, calls `run` with the threads' bodies, and
    // looks at what they left. False: a check failed, and the way there has been printed.
    template <class Scenario>
    bool explore(Scenario scenario) {
        current_explorer = this;
        do {
            begin();
            scenario(*this);
            ++executions;
        } while (!failed_ && next());
        current_explorer = nullptr;
        return !failed_;
    }

    // Runs `body(number)` in so many threads, started by the main program after all that it did, and joined.
    template <class Body>
    void run(int threads, Body body) {
        body_ = [](void* pointer, int number) { (*static_cast<Body*>(pointer))(number); };
        captured_ = &body;
        running_ = threads;
        for (int t = 0; t < threads; ++t) start(t);
        while (running_ > 0 && !failed_) {
            self_ = pick(kMain);
            swapcontext(&contexts_[kMain], &contexts_[self_]);
        }
        self_ = kMain;
        for (int t = 0; t < threads; ++t) views_[kMain].join(views_[t]);
    }

    void check(bool holds, const char* what) {
        if (holds || failed_) return;
        failed_ = true;
        std::printf("violated: %s, after %llu executions, by the choices", what,
                    static_cast<unsigned long long>(executions));
        for (std::size_t i = 0; i < at_; ++i) std::printf(" %d", path_[i].taken);
        std::printf("\n");
    }
    bool failed() const { return failed_; }

    // --- the memory, for Atomic ---

    int make(std::uint64_t value) {
        const int location = locations_++;
        if (location >= kLocations) std::abort();
        writes_[location].clear();
        writes_[location].push_back(Write{value, View{}});
        return location;
    }
    std::uint64_t load(int location, bool acquire) {
        step();
        return read(location, acquire, choose_write(location));
    }
    void store(int location, std::uint64_t value, bool release) {
        step();
        append(location, value, release, nullptr);
    }
    template <class Function>
    std::uint64_t modify(int location, bool acquire, bool release, Function function) {
        step();
        const std::uint64_t before = read(location, acquire, newest(location));
        const View carried = writes_[location].back().carried;
        append(location, function(before), release, &carried);
        return before;
    }
    // A failing one is a load; so is one that finds an older write than the newest. A weak one may fail for no reason:
    // that is a stale read in all but name, and changes nothing for a loop that reads again.
    bool compare(int location, std::uint64_t& expected, std::uint64_t desired, bool acquire, bool release,
                 bool acquire_on_failure) {
        step();
        const std::size_t last = newest(location);
        const std::size_t seen = choose_write(location);
        if (seen != last || writes_[location][last].value != expected) {
            expected = read(location, acquire_on_failure, seen);
            return false;
        }
        read(location, acquire, last);
        const View carried = writes_[location][last].carried;
        append(location, desired, release, &carried);
        return true;
    }
    // Whether the running thread can only read the newest write: for data that is not atomic, all else is a race.
    bool sees_newest(int location) const { return views_[self_].oldest[location] == newest(location); }
    int self() const { return self_; }

    std::uint64_t executions = 0, steps = 0;
    static Explorer* current_explorer;

  private:
    static constexpr std::size_t kStack = 64 << 10;

    void start(int t) {
        views_[t] = views_[kMain];
        done_[t] = false;
        if (!stacks_[t]) stacks_[t].reset(new char[kStack]);
        getcontext(&contexts_[t]);
        contexts_[t].uc_stack.ss_sp = stacks_[t].get();
        contexts_[t].uc_stack.ss_size = kStack;
        contexts_[t].uc_link = &contexts_[kMain];
        makecontext(&contexts_[t], reinterpret_cast<void (*)()>(&Explorer::enter), 1, t);
    }
    static void enter(int t) {
        Explorer& e = *current_explorer;
        e.body_(e.captured_, t);
        e.done_[t] = true;
        --e.running_;
    }

    void begin() {
        at_ = 0;
        locations_ = 0;
        preempted_ = stale_ = 0;
        self_ = kMain;
        running_ = 0;
        for (View& view : views_) view = View{};
        for (bool& done : done_) done = true;     // until `run` starts them
    }
    bool next() {
        while (!path_.empty() && path_.back().taken + 1 == path_.back().of) path_.pop_back();
        if (path_.empty()) return false;
        ++path_.back().taken;
        return true;
    }
    int choose(int of) {
        if (of == 1) return 0;
        if (at_ == path_.size()) path_.push_back(Choice{0, static_cast<std::uint16_t>(of)});
        return path_[at_++].taken;
    }

    // Before each operation: whose turn is it?
    void step() {
        ++steps;
        if (self_ == kMain || failed_) return;
        const int next = pick(self_);
        if (next == self_) return;
        const int before = self_;
        self_ = next;
        swapcontext(&contexts_[before], &contexts_[next]);
    }
    // The thread that goes on: `current` first; another one at the price of a preemption. The main program only waits.
    int pick(int current) {
        if (current != kMain && preempted_ == bounds_.preemptions) return current;
        int able[kThreads], count = 0;
        if (current != kMain) able[count++] = current;
        for (int t = 0; t < kMain; ++t) {
            if (t != current && !done_[t]) able[count++] = t;
        }
        const int taken = choose(count);
        if (current != kMain && taken != 0) ++preempted_;
        return able[taken];
    }

    std::size_t newest(int location) const { return writes_[location].size() - 1; }
    std::size_t choose_write(int location) {
        const std::size_t last = newest(location), first = views_[self_].oldest[location];
        if (last == first || stale_ == bounds_.stale) return last;
        const int back = choose(static_cast<int>(last - first) + 1);
        if (back != 0) ++stale_;
        return last - static_cast<std::size_t>(back);
    }
    std::uint64_t read(int location, bool acquire, std::size_t which) {
        View& view = views_[self_];
        if (which > view.oldest[location]) view.oldest[location] = static_cast<std::uint16_t>(which);
        const Write& write = writes_[location][which];
        if (acquire) view.join(write.carried);
        return write.value;
    }
    void append(int location, std::uint64_t value, bool release, const View* sequence) {
        View& view = views_[self_];
        view.oldest[location] = static_cast<std::uint16_t>(writes_[location].size());
        Write write{value, View{}};
        if (release) write.carried = view;
        write.carried.oldest[location] = view.oldest[location];
        if (sequence != nullptr) write.carried.join(*sequence);
        writes_[location].push_back(write);
    }

    Bounds bounds_;
    std::vector<Choice> path_;
    std::size_t at_ = 0;
    bool failed_ = false;
    int locations_ = 0, preempted_ = 0, stale_ = 0, self_ = kMain, running_ = 0;
    bool done_[kThreads] = {};
    View views_[kThreads];
    std::vector<Write> writes_[kLocations];
    ucontext_t contexts_[kThreads];
    std::unique_ptr<char[]> stacks_[kThreads];
    void (*body_)(void*, int) = nullptr;
    void* captured_ = nullptr;
};

inline Explorer* Explorer::current_explorer = nullptr;

}  // namespace model
