"""In the state of an object pool, in C++: acquire, release and wait. A C++ program sees them."""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder

POOL = "objects/core/object_pool.hpp"
TABLE = "objects/core/object_table.hpp"
IDLE = "objects/core/idle_objects.hpp"
SEEN = Ladder("object_pool_ladder", 60_000)

WAITING = (
    Bug(
        "the table closes no gap when an object goes",
        TABLE,
        "                slots_[hole] = slots_[i];\n                hole = i;\n",
        "                break;\n",
        SEEN,
    ),
    Bug(
        "two checkouts of one object have the same word",
        TABLE,
        "((word.load_relaxed() >> kStateBits) + 1) << kStateBits",
        "(word.load_relaxed() >> kStateBits) << kStateBits",
        SEEN,
    ),
    Bug(
        "a release does not see a new waiter",
        POOL,
        "            if (BUFPOOL_LIKELY(slow_path_.load_relaxed() == 0)) return ReleaseResult::kept;\n",
        "            return ReleaseResult::kept;\n",
        SEEN,
    ),
    Bug(
        "an object that comes back as the pool is closed stays idle",
        POOL,
        "            if (!closed_ && size_.load_relaxed() <= max_size_.load_relaxed()) return ReleaseResult::wake;\n",
        "            return ReleaseResult::wake;\n",
        SEEN,
    ),
    Bug(
        "a newcomer is served before an overdue waiter",
        POOL,
        "const bool in_turn = head == nullptr || head == &waiter || !is_overdue(*head, now);",
        "const bool in_turn = true;\n        (void)head;",
        SEEN,
    ),
    Bug(
        "a waiter is woken for each return",
        POOL,
        "        if (woken_ >= available()) return nullptr;\n",
        "",
        SEEN,
    ),
    Bug(
        "a waiter that was woken and leaves is still counted",
        POOL,
        "        if (waiter.state == Waiter::woken) --woken_;\n        (waiter.goal",
        "        (waiter.goal",
        SEEN,
    ),
    Bug(
        "a waiter that withdraws as it is given an object loses the object",
        POOL,
        "        const bool given = waiter.state == Waiter::given && waiter.goal == 0;\n",
        "        const bool given = false;\n",
        SEEN,
    ),
    Bug(
        "the queue keeps its reference to a waiter that has left it",
        POOL,
        "        waiter.state = state;\n        waiter.kept = false;\n",
        "        waiter.state = state;\n",
        SEEN,
    ),
    Bug(
        "a slot that is released stays in use",
        POOL,
        "            --empty_slots_;\n            size_.store_relaxed(size_.load_relaxed() - 1);\n",
        "            --empty_slots_;\n",
        SEEN,
    ),
    Bug(
        "more clients wait than max_waiting",
        POOL,
        "        if (waiters_.length() - ordered_ >= max_waiting_) return AcquireResult::too_many;\n",
        "",
        SEEN,
    ),
    Bug(
        "a pool that was made smaller keeps surplus objects",
        POOL,
        "        if (closed_ || size_.load_relaxed() > max_size_.load_relaxed()) return reject(index);\n",
        "        if (closed_) return reject(index);\n",
        SEEN,
    ),
    Bug(
        "the objects used last are closed, and those used first stay",
        IDLE,
        "if (stale < from || stale >= until) matches = true;",
        "matches = true;",
        SEEN,
    ),
    Bug(
        "first in, last out where it should be first in, first out",
        IDLE,
        "        (fifo_ ? returned_ : ready_).push(table, index);",
        "        ready_.push(table, index);",
        SEEN,
    ),
)
