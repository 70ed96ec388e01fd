"""In the state of an object pool: who has which object, and who waits. Seeded into headers, seen by a C++ program."""

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
        "((word.load_relaxed() >> kStandingBits) + 1) << kStandingBits",
        "(word.load_relaxed() >> kStandingBits) << kStandingBits",
        SEEN,
    ),
    Bug(
        "a return does not look who waits",
        POOL,
        "            if (BUFPOOL_LIKELY(attention_.load_relaxed() == 0)) return Put::kept;\n",
        "            return Put::kept;\n",
        SEEN,
    ),
    Bug(
        "an object that comes back as the pool is closed stays idle",
        POOL,
        "            if (!closed_ && size_.load_relaxed() <= max_.load_relaxed()) return Put::serve;\n",
        "            return Put::serve;\n",
        SEEN,
    ),
    Bug(
        "a newcomer is before one who has waited long",
        POOL,
        "if (head != nullptr && head != &waiter && is_overdue(*head, now)) return Answer::queued;",
        "(void)head;",
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
        "one who was woken and leaves is still counted",
        POOL,
        "        if (waiter.state == Waiter::woken) --woken_;\n        (waiter.goal",
        "        (waiter.goal",
        SEEN,
    ),
    Bug(
        "one who leaves as it is given an object keeps silent about it",
        POOL,
        "        const bool given = waiter.state == Waiter::given && waiter.goal == 0;\n",
        "        const bool given = false;\n",
        SEEN,
    ),
    Bug(
        "the queue keeps its reference to one that it has dismissed",
        POOL,
        "        waiter.state = state;\n        waiter.kept = false;\n",
        "        waiter.state = state;\n",
        SEEN,
    ),
    Bug(
        "a place that is given up stays taken",
        POOL,
        "            --growing_;\n            size_.store_relaxed(size_.load_relaxed() - 1);\n",
        "            --growing_;\n",
        SEEN,
    ),
    Bug(
        "more clients wait than may",
        POOL,
        "        if (waiters_.length() >= most_waiting_) return Answer::too_many;\n",
        "",
        SEEN,
    ),
    Bug(
        "what a smaller pool has too much of is kept",
        POOL,
        "        if (closed_ || size_.load_relaxed() > max_.load_relaxed()) return refuse(index);\n",
        "        if (closed_) return refuse(index);\n",
        SEEN,
    ),
    Bug(
        "those used last age out, and those used first stay",
        IDLE,
        "if (seen < from || seen >= from + stay) falls = true;",
        "falls = true;",
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
