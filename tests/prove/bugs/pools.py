"""In the compiled side of a pool: NumPy's hooks, waiting at the limit, readings, installing.

That a waiter is counted down is not here: one that is not costs each return a wake-up for nobody, and no more.
"""

from __future__ import annotations

from prove.bug import Bug, Suite

ARENA = "native/_arena.pyx"
HANDLER = "native/_handler.pyx"
ARRAYS = "native/_arrays.pyx"

PUT_BACK = """\
                if quiet:
                    put_back(before)
                else:
                    self.leave()
"""
BUILD = f"""\
                array = function(*args, **kwargs)
                break
            except MemoryError as error:
                nbytes = getattr(error, "_total_size", None)     # as NumPy's own carries it
                if nbytes is None:
                    raise
            finally:
{PUT_BACK}"""

HOOKS = (
    Bug(
        "realloc copies half",
        ARENA,
        "memcpy(moved, address, nbytes if nbytes < room else room)",
        "memcpy(moved, address, (nbytes if nbytes < room else room) // 2)",
        Suite("test_handler_memory.py -k resize"),
    ),
    Bug(
        "realloc keeps the old block",
        ARENA,
        "    Arena.release(address)\n    return moved",
        "    return moved",
        Suite("test_handler_memory.py -k resize"),
    ),
    Bug(
        "realloc fails where it need not move",
        ARENA,
        "return address if nbytes <= room else NULL",
        "return NULL",
        Suite("test_lifetime.py::test_array_can_be_used_after_the_pool"),
    ),
    Bug(
        "shrinking never gives memory back",
        ARENA,
        "if nbytes <= room and (nbytes >= room // 2 or room <= 1024):",
        "if nbytes <= room:",
        Suite("test_handler_memory.py::test_shrinking_gives_memory_back"),
    ),
    Bug(
        "calloc gives what it finds",
        ARENA,
        "(<Arena*>arena).acquire_zeroed(count * size).address",
        "(<Arena*>arena).acquire(count * size).address",
        Suite("test_handler_memory.py::test_zeros_are_zero_on_recycled_memory"),
    ),
)

WAITING = (
    Bug(
        "a release wakes a waiter that does not listen",
        ARENA,
        "    PyThread_release_lock(lock)\n",
        "    pass\n",
        Suite("test_waiting.py"),
    ),
    Bug(
        "a waiter is not counted",
        ARENA,
        "            arena.waiters.add_relaxed(1)\n",
        "            arena.waiters.add_relaxed(0)\n",
        Suite("test_waiting.py"),
    ),
    Bug(
        "a refusal is counted at each look",
        ARENA,
        "                        block = arena_acquire(arena, nbytes, alignment)\n"
        "                    self.same_request(block)\n",
        "                        block = arena_acquire(arena, nbytes, alignment)\n",
        Suite("test_limit.py::test_a_waiting_request_is_counted_once"),
    ),
    Bug(
        "garbage is not collected at the limit",
        ARENA,
        "        gc.collect()\n",
        "",
        Suite("test_limit.py::test_at_the_limit_garbage_is_collected"),
    ),
    Bug(
        "what can never come is waited for",
        ARENA,
        "if block.address == NULL and can_come and until > now:",
        "if block.address == NULL and until > now:",
        Suite("test_limit.py::test_what_can_never_come_is_not_waited_for"),
    ),
    Bug(
        "a waiter gives up at its first look",
        ARENA,
        "while block.address == NULL and block.refusal == Refusal.limit and now < until:",
        "if block.address == NULL and block.refusal == Refusal.limit and now < until:",
        Suite("test_limit.py -k waiter"),
    ),
    Bug(
        "any alignment will do",
        ARENA,
        "if value <= 0 or value > kHugePage or value & (value - 1):",
        "if value <= 0 or value > kHugePage:",
        Suite("test_bad_input.py::test_alignment"),
    ),
    Bug(
        "a pool that is gone keeps its arena",
        ARENA,
        "            self.arena.abandon()\n",
        "            self.arena.close()\n",
        Suite("test_lifetime.py::test_many_pools_leak_nothing"),
    ),
    Bug(
        "parked blocks count as in use",
        ARENA,
        '"in_use_bytes": max(0, used - arena.parked_bytes()),',
        '"in_use_bytes": used,',
        Suite("test_arrays.py::test_dtypes"),
    ),
)

INSTALLING = (
    Bug(
        "uninstall takes the newest entry, whosever it is",
        HANDLER,
        "        while i >= 0 and entries[i][0] is not self:\n            i -= 1\n",
        "",
        Suite("test_handler.py -k any_order"),
    ),
    Bug(
        "who entered later puts back what is gone",
        HANDLER,
        "(entries[i + 1][0], before)",
        "entries[i + 1]",
        Suite("test_handler.py -k any_order"),
    ),
    Bug(
        "an exception leaves the pool installed",
        HANDLER,
        "        self.leave()\n        return False",
        "        if kind is None: self.leave()\n        return False",
        Suite("test_handler.py -k an_exception_leaves"),
    ),
    Bug(
        "a closed pool can be installed",
        HANDLER,
        "        if self.arena.closed.load_relaxed():\n            raise self.refusal(0, Refusal.closed, None)\n"
        "        if self._tune",
        "        if self._tune",
        Suite("test_handler.py -k cannot_be_installed"),
    ),
    Bug(
        "an installed pool is not held",
        HANDLER,
        "        put_entries(entries + ((self, cnp.PyDataMem_GetHandler()),))",
        "        put_entries(entries + ((None, cnp.PyDataMem_GetHandler()),))",
        Suite("test_handler.py -k lives_until_it_is_taken_out"),
    ),
    Bug(
        "the capsule goes with its pool",
        HANDLER,
        "    Py_INCREF(capsule)\n    immortalise(<PyObject*>capsule)  ",
        "",
        Suite("test_lifetime.py::test_many_pools_leak_nothing"),
    ),
    Bug(
        "NumPy's constructor that raises leaves the pool installed",
        ARRAYS,
        BUILD,
        BUILD.replace("                break\n", f"{PUT_BACK}                break\n")
        .replace("                nbytes", f"{PUT_BACK}                nbytes")
        .replace(f"            finally:\n{PUT_BACK}", ""),
        Suite("test_handler.py -k constructor_that_fails"),
    ),
)

POOLS = (*HOOKS, *WAITING, *INSTALLING)
