"""In what a pool of objects does for tasks: waiting, being cancelled, loops that end."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

ENGINE = "objects/engine.py"
CALLBACKS = "objects/callbacks.py"
RUNTIMES = "objects/runtimes.py"
CHECK_FAILED = " as error:  # noqa: BLE001 - it is logged, and counted\n            self._tell(error)"
EXPLORED = Suite("objects/test_async_every_await.py")

TASKS = (
    Bug(
        "a cancelled waiter keeps what it was given",
        ENGINE,
        "        if checkouts.withdraw(checkout):\n",
        "        if checkouts.holds_object(checkout):\n",
        Suite("objects/test_async_cancel.py::test_at_the_hand_over_of_a_pool_that_is_closed_then"),
    ),
    Bug(
        "an object of unknown state goes on",
        ENGINE,
        'reason = "broken" if checkouts.is_touched(checkout) else held.release(checkout)\n',
        "reason = held.release(checkout)\n",
        Suite("objects/test_async_cancel.py -k check_or_a_reset"),
    ),
    Bug(
        "an interrupted round keeps what it had in hand",
        ENGINE,
        "                if checkouts.holds_object(checkout) and not checkouts.is_touched(checkout):\n",
        "                if False:\n",
        Suite("objects/test_async_cancel.py::test_during_the_end_of_an_object"),
    ),
    Bug(
        "a place is not given up when the end of an object is cut short",
        ENGINE,
        "        finally:\n            if not keep_slot:\n",
        "        except OSError:\n            if not keep_slot:\n",
        EXPLORED,
    ),
    Bug(
        "a cancellation in a check is a verdict",
        CALLBACKS,
        f"        except Exception{CHECK_FAILED}",
        f"        except BaseException{CHECK_FAILED}",
        EXPLORED,
    ),
    Bug(
        "a time-out does not wake who waits",
        RUNTIMES,
        "            timer = self._loop.call_later(max(0.0, until - monotonic()), self._set)",
        "            timer = self._loop.call_later(60 + max(0.0, until - monotonic()), self._set)",
        Suite("objects/test_async.py -k bounds"),
    ),
    Bug(
        "a thread wakes a task without its loop",
        RUNTIMES,
        "if asyncio_now()._get_running_loop() is self._loop:",
        "if not self._loop.is_closed():",
        Suite("objects/test_async_loops.py -k from_a_thread"),
    ),
    Bug(
        "an orphan is not closed",
        RUNTIMES,
        "if not work.cancelled() and work.exception() is None and undo is not None:",
        "if undo is None:",
        Suite("objects/test_threads_and_tasks.py -k cancelled"),
    ),
    Bug(
        "a task leaves its thread alone with the object",
        RUNTIMES,
        "            await _finish(work)\n            if not work",
        "            if not work",
        Suite("objects/test_threads_and_tasks.py -k cancelled"),
    ),
    Bug(
        "a dropped lease waits for a loop that does not run",
        "objects/native/_async_lease.pyx",
        "self.runtime.release_later(moved(self))",
        "self.runtime.release_later(self)",
        Suite("objects/test_async_loops.py -k dropped_lease"),
    ),
    Bug(
        "maintenance keeps the first client's context",
        RUNTIMES,
        "self._start_round, known, context=Context())",
        "self._start_round, known)",
        Suite("objects/test_async_loops.py -k behalf"),
    ),
)
