// Who has which object, and who waits: the state of an object pool. What an object is, and how a waiter is woken,
// the layer above knows.
//
//   take ──► idle list ──► a client ──► put        one compare-and-swap each while nobody waits
//             ▲    │ nothing there, or somebody waits: ask, under the lock
//             │    ├─► room for one more: the caller makes an object and installs it
//             │    └─► the queue: an object is given to the longest waiter, or it is woken to ask again
//
// First come, first served for everybody who has waited for longer than kHandoffDelay; until then a running client may be
// quicker than one that has to be woken. Strict hand-over would cost a switch of threads a checkout. (The locks of Go,
// "starvation mode", 2016, and of WebKit, Pizlo 2016, are eventually fair in this way.)
//
// Nothing here is done to an object, and no waiter is woken, while the lock is held.
#pragma once

#include <cstdlib>
#include <new>

#include "bufpool/_core/atomics.hpp"
#include "idle_objects.hpp"
#include "object_table.hpp"
#include "bufpool/_core/waiter_queue.hpp"

namespace bufpool {

enum class Answer : std::uint32_t {
    found = 0,     // this object
    room = 1,      // there is none, but a place for one that the caller makes
    queued = 2,    // wait
    full = 3,      // neither an object nor a place
    too_many = 4,  // as many wait as may
    closed = 5
};

enum class Put : std::uint32_t {
    kept = 0,
    serve = 1,     // kept, and somebody may be waiting for it: call serve()
    surplus = 2,   // beyond the pool's size: it is no place's object any more, and is closed
    closed = 3     // not kept
};

// One that is out.
struct Held {
    std::uint32_t index;
    std::uint64_t since;             // coarse ns
    std::uint64_t thread;
    void* address;
};

class ObjectPool {
  public:
    ObjectTable table;

    // Null: no memory.
    static ObjectPool* make() noexcept {
        void* const memory = std::malloc(sizeof(ObjectPool));
        return memory == nullptr ? nullptr : new (memory) ObjectPool;
    }
    static void destroy(ObjectPool* pool) noexcept {
        pool->~ObjectPool();
        std::free(pool);
    }

    // Before the pool is shared. `keep` counts one more reference to a waiter's owner, or to an object.
    void set_up(std::uint32_t most, std::uint32_t most_waiting, bool fair, bool fifo, void (*keep)(void*)) noexcept {
        max_.store_relaxed(most);
        most_waiting_ = most_waiting;
        fair_ = fair;
        idle_.set_up(fifo);
        keep_ = keep;
    }

    // --- the hot paths, without the lock ---

    // An idle object, or kNone: then ask.
    std::uint32_t take() noexcept {
        if (BUFPOOL_UNLIKELY(attention_.load_relaxed() != 0)) return kNone;
        return pop();
    }

    // Returns an object that the caller has. `surplus` and `closed`: the caller has an object, `index`, perhaps another one.
    Put put(std::uint32_t& index) noexcept {
        if (BUFPOOL_LIKELY(attention_.load_relaxed() == 0)) {
            idle_.push(table, index);
            // Dekker (Dijkstra 1965): either we see who came to wait meanwhile, that the pool was closed or made smaller, or
            // they see the object. `ask`, `close` and `resize` have the other half.
            fence_seq_cst();
            if (BUFPOOL_LIKELY(attention_.load_relaxed() == 0)) return Put::kept;
            LockGuard guard(lock_);
            if (!closed_ && size_.load_relaxed() <= max_.load_relaxed()) return Put::serve;
            const std::uint32_t idle = pop_under_lock();
            if (idle == kNone) return Put::serve;
            idle_.not_a_checkout();
            index = idle;
            return refuse(index);
        }
        LockGuard guard(lock_);
        if (closed_ || size_.load_relaxed() > max_.load_relaxed()) return refuse(index);
        idle_.push(table, index);
        return Put::serve;
    }

    bool needs_attention() const noexcept { return attention_.load_relaxed() != 0; }

    // --- waiting ---

    // What there is for `waiter`, which may be in the queue already. `growing`: most objects that may be in the making
    // at once. After any answer but `queued` it is in no queue.
    Answer ask(Waiter& waiter, std::uint64_t now, bool may_wait, std::uint32_t growing, std::uint32_t& index) noexcept {
        LockGuard guard(lock_);
        if (waiter.state == Waiter::given) {
            waiter.state = Waiter::off;
            index = waiter.index;
            return Answer::found;
        }
        if (waiter.state == Waiter::refused) waiter.state = Waiter::off;
        if (closed_) {
            leave(waiter);
            return Answer::closed;
        }
        if (waiter.state == Waiter::woken) {
            waiter.state = Waiter::queued;
            --woken_;
        }
        Answer answer = serve_self(waiter, now, growing, index);
        if (answer != Answer::queued) return answer;
        if (!may_wait) {
            leave(waiter);
            waiter.since = 0;
            return Answer::full;
        }
        if (waiter.state == Waiter::queued) return Answer::queued;
        if (waiters_.length() >= most_waiting_) return Answer::too_many;
        // One that has waited and was given what was no good does not begin again at the end.
        if (waiter.since == 0) {
            waiter.since = now;
            waiters_.append(waiter);
        } else {
            waiters_.prepend(waiter);
        }
        waiter.state = Waiter::queued;
        look_around();
        fence_seq_cst();   // see put()
        return serve_self(waiter, now, growing, index);
    }

    // Waits for something else than an object. True: there is nothing to wait for.
    bool watch(Waiter& waiter, std::uint32_t goal) noexcept {
        LockGuard guard(lock_);
        waiter.goal = goal;
        if (waiter.state == Waiter::given) {
            waiter.state = Waiter::off;
            return true;
        }
        if (reached(waiter)) {
            leave(waiter);
            return true;
        }
        if (waiter.state == Waiter::off) {
            waiter.state = Waiter::queued;
            watchers_.append(waiter);
            look_around();
        }
        return false;
    }

    // Leaves the queue. True: it had been given an object, `index`.
    bool withdraw(Waiter& waiter, std::uint32_t& index) noexcept {
        LockGuard guard(lock_);
        const bool given = waiter.state == Waiter::given && waiter.goal == 0;
        index = waiter.index;
        if (waiter.state == Waiter::given || waiter.state == Waiter::refused) waiter.state = Waiter::off;
        leave(waiter);
        waiter.since = 0;
        return given;
    }

    // The next one that must be woken, with a reference to its owner; null if there is none. Call it until then whenever
    // something has changed for those who wait.
    Waiter* serve(std::uint64_t now) noexcept {
        LockGuard guard(lock_);
        for (Waiter* each = watchers_.first(); each != nullptr; each = each->after) {
            if (reached(*each)) return dismiss(*each, Waiter::given);
        }
        Waiter* const head = waiters_.first();
        if (head == nullptr) return nullptr;
        if (closed_) return dismiss(*head, Waiter::refused);
        if (is_overdue(*head, now)) {
            const std::uint32_t index = pop_under_lock();
            if (index != kNone) {
                table[index].set(Standing::busy);
                head->index = index;
                return dismiss(*head, Waiter::given);
            }
        }
        // Nobody passes one whose turn it is: woken now, the next would ask in vain, and again, and keep a loop of tasks from
        // ever coming to the first.
        if (head->state == Waiter::woken && is_overdue(*head, now)) return nullptr;
        if (woken_ >= available()) return nullptr;
        // Those that were woken stand before the others, and are no more than there are objects.
        for (Waiter* each = head; each != nullptr; each = each->after) {
            if (each->state == Waiter::queued) {
                each->state = Waiter::woken;
                ++woken_;
                keep_(each->owner);
                return each;
            }
        }
        return nullptr;
    }

    // --- objects that come and go ---

    // A place for an object beyond the size: it is not kept when it comes back.
    void add_extra_place() noexcept {
        LockGuard guard(lock_);
        ++extra_;
        peak_.raise_relaxed(size_.load_relaxed() + extra_);
    }

    // A place, if there are less than `wanted`.
    bool ask_place(std::uint32_t wanted) noexcept {
        LockGuard guard(lock_);
        const std::uint32_t size = size_.load_relaxed();
        if (closed_ || size >= wanted || size >= max_.load_relaxed()) return false;
        size_.store_relaxed(size + 1);
        ++growing_;
        return true;
    }

    // Puts an object into the place that the caller has; it is in the caller's hand. kNone: no memory; kOwned: the pool has
    // that object already.
    std::uint32_t install(void* address, bool extra) noexcept {
        LockGuard guard(lock_);
        if (table.find(address) != kNone) return kOwned;
        const std::uint32_t index = table.add(address);
        if (index == kNone) return kNone;
        ObjectNode& node = table[index];
        node.set(Standing::busy);
        node.uses.store_relaxed(0);
        node.extra = extra;
        node.traced = false;
        if (!extra) --growing_;
        return index;
    }

    // Takes an object out that the caller has. The caller has its place now: see give_up_place.
    // Whether that place is one beyond the size.
    bool take_out(std::uint32_t index) noexcept {
        LockGuard guard(lock_);
        const bool extra = table[index].extra;
        if (!extra) ++growing_;
        table.remove(index);
        return extra;
    }

    void give_up_place(bool extra) noexcept {
        LockGuard guard(lock_);
        if (extra) {
            --extra_;
        } else {
            --growing_;
            size_.store_relaxed(size_.load_relaxed() - 1);
            stalled_ = false;
        }
        look_around();
    }

    // Idle objects that fall through the sieve, up to `room` of them, into the caller's hand.
    std::uint32_t sift(const Sieve& sieve, std::uint32_t* indices, std::uint32_t room) noexcept {
        LockGuard guard(lock_);
        return idle_.sift(table, sieve, indices, room);
    }

    // Returns an object that nobody used, to where the one idle longest is; also one that the pool does not want any more,
    // `in_any_case`. Never `serve`: that is for the caller to do.
    Put put_back_unused(std::uint32_t index, bool in_any_case) noexcept {
        LockGuard guard(lock_);
        if (closed_ && !in_any_case) return Put::closed;
        if (!in_any_case && size_.load_relaxed() > max_.load_relaxed()) {
            make_surplus(index);
            return Put::surplus;
        }
        idle_.push_oldest(table, index);
        return Put::kept;
    }

    // --- the whole pool ---

    void close() noexcept {
        LockGuard guard(lock_);
        closed_ = true;
        look_around();
        fence_seq_cst();   // see put()
    }
    // Places may be filled again.
    void go_on() noexcept {
        LockGuard guard(lock_);
        stalled_ = false;
    }
    void resize(std::uint32_t most) noexcept {
        LockGuard guard(lock_);
        max_.store_relaxed(most);
        look_around();
        fence_seq_cst();   // see put()
    }

    // The number of an object that the pool knows, or kNone.
    // `word`: of the checkout that is going on. Only with it the number means this object: without it the node may be
    // another's by the time that it is used.
    std::uint32_t find(const void* address, std::uint64_t& word) noexcept {
        LockGuard guard(lock_);
        const std::uint32_t index = table.find(address);
        if (index != kNone) word = table[index].word.load_acquire();
        return index;
    }

    // The object of that checkout, with a reference; null if it is over.
    void* look(std::uint32_t index, std::uint64_t checkout) noexcept {
        LockGuard guard(lock_);
        ObjectNode& node = table[index];
        if (node.word.load_acquire() != checkout) return nullptr;
        keep_(node.address);
        return node.address;
    }

    // Objects that have been out since before then, with a reference (`keep`) to each. `tell`: only those not told of
    // yet, which then are. Returns how many there are; `room` of them are written.
    std::uint32_t held(std::uint64_t before, bool tell, Held* out, std::uint32_t room) noexcept {
        LockGuard guard(lock_);
        std::uint32_t found = 0;
        for (std::uint32_t index = 0; index < table.used(); ++index) {
            ObjectNode& node = table[index];
            const Standing standing = node.standing();
            if (standing != Standing::lent && standing != Standing::out) continue;
            const std::uint64_t since = node.since.load_relaxed();
            if (since > before || (tell && node.told.load_relaxed() != 0)) continue;
            if (found < room) {
                if (tell) node.told.store_relaxed(1);
                keep_(node.address);
                out[found] = Held{index, since, node.thread.load_relaxed(), node.address};
            }
            ++found;
        }
        return found;
    }

    // --- readings ---

    std::uint32_t size() const noexcept { return size_.load_relaxed(); }
    std::uint32_t max() const noexcept { return max_.load_relaxed(); }
    std::uint32_t idle() noexcept { return idle_.size(table); }
    std::uint32_t peak() const noexcept { return peak_.load_relaxed(); }
    std::uint32_t extra() noexcept { LockGuard guard(lock_); return extra_; }
    std::uint32_t waiting() noexcept { LockGuard guard(lock_); return waiters_.length(); }
    std::uint32_t existing() noexcept { LockGuard guard(lock_); return table.known(); }
    bool closed() noexcept { LockGuard guard(lock_); return closed_; }
    // In a fork's child, where a thread may have had the lock that is not there any more.
    bool was_closed() const noexcept { return closed_; }
    std::uint64_t reused() noexcept {                                          // checkouts of an idle object
        LockGuard guard(lock_);
        return idle_.checkouts();
    }

  private:
    std::uint32_t pop() noexcept {
        std::uint32_t left = 0;
        const std::uint32_t index = idle_.pop(table, left);
        if (index != kNone) note_peak(left);
        return index;
    }

    std::uint32_t pop_under_lock() noexcept {
        std::uint32_t left = 0;
        const std::uint32_t index = idle_.pop_under_lock(table, left);
        if (index != kNone) note_peak(left);
        return index;
    }

    // So many are idle still.
    void note_peak(std::uint32_t left) noexcept {
        const std::uint32_t size = size_.load_relaxed();
        if (size > left && size - left > peak_.load_relaxed()) peak_.raise_relaxed(size - left);
    }

    bool is_overdue(const Waiter& waiter, std::uint64_t now) const noexcept {
        return fair_ || now > waiter.since + kHandoffDelay;
    }

    // An object or a place for `waiter`, unless somebody comes before it; otherwise `queued`.
    Answer serve_self(Waiter& waiter, std::uint64_t now, std::uint32_t growing, std::uint32_t& index) noexcept {
        const Waiter* const head = waiters_.first();
        if (head != nullptr && head != &waiter && is_overdue(*head, now)) return Answer::queued;
        index = pop_under_lock();
        if (index != kNone) {
            table[index].set(Standing::busy);
            leave(waiter);
            return Answer::found;
        }
        const std::uint32_t size = size_.load_relaxed();
        if (size >= max_.load_relaxed()) return Answer::queued;
        if (growing_ >= growing) {
            if (waiter.state == Waiter::queued) stalled_ = true;
            return Answer::queued;
        }
        size_.store_relaxed(size + 1);
        ++growing_;
        peak_.raise_relaxed(size + 1);
        leave(waiter);
        return Answer::room;
    }

    // Objects and places that a waiter could have.
    std::uint32_t available() noexcept {
        const std::uint32_t size = size_.load_relaxed(), most = max_.load_relaxed();
        return idle() + (most > size && !stalled_ ? most - size : 0);
    }

    bool reached(const Waiter& watcher) const noexcept {
        if (watcher.goal == kUntilEmpty) return closed_ && size_.load_relaxed() == 0 && extra_ == 0;
        return closed_ || table.known() >= watcher.goal;
    }

    // Out of its queue, if it is in one; its reference stays with it.
    void leave(Waiter& waiter) noexcept {
        if (waiter.state != Waiter::queued && waiter.state != Waiter::woken) return;
        if (waiter.state == Waiter::woken) --woken_;
        (waiter.goal == 0 ? waiters_ : watchers_).remove(waiter);
        waiter.state = Waiter::off;
        stalled_ = false;
        look_around();
    }

    // Out of its queue, with its reference.
    Waiter* dismiss(Waiter& waiter, Waiter::State state) noexcept {
        leave(waiter);
        waiter.state = state;
        waiter.kept = false;
        return &waiter;
    }

    // An object that is not kept.
    Put refuse(std::uint32_t index) noexcept {
        table[index].set(Standing::busy);
        if (closed_) return Put::closed;
        make_surplus(index);
        return Put::surplus;
    }

    void make_surplus(std::uint32_t index) noexcept {
        table[index].extra = true;
        ++extra_;
        size_.store_relaxed(size_.load_relaxed() - 1);
        look_around();
    }

    // Whether the hot paths must look at more than the idle list.
    void look_around() noexcept {
        const bool much = waiters_.length() != 0 || watchers_.length() != 0 || closed_ || size_.load_relaxed() > max_.load_relaxed();
        attention_.store_relaxed(much ? 1 : 0);
    }

    // Read on the hot paths.
    Atomic<std::uint32_t> attention_;
    Atomic<std::uint32_t> size_;         // places: objects, and those in the making or being closed
    Atomic<std::uint32_t> peak_;         // most places without an idle object so far
    Atomic<std::uint32_t> max_;
    bool fair_ = false;
    IdleObjects idle_;

    // Under the lock.
    Lock lock_;
    WaiterQueue waiters_;
    WaiterQueue watchers_;               // for something else than an object
    std::uint32_t woken_ = 0;            // waiters that are on their way to ask
    std::uint32_t growing_ = 0;          // places without an object in the table: in the making, or being closed
    std::uint32_t extra_ = 0;            // places beyond the size
    // One that waits was told that no place may be filled now. It looks again by itself, so until something changes nobody
    // is woken for a place.
    bool stalled_ = false;
    std::uint32_t most_waiting_ = 0;
    bool closed_ = false;
    void (*keep_)(void*) = nullptr;
};

}  // namespace bufpool
