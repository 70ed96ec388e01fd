"""In the compiled side of a pool: NumPy's hooks, waiting at the limit, readings, installing.

That a waiter is counted down is not here: one that is not costs each return a wake-up for nobody, and no more.
"""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

ARENA = "memory/native/_arena.pyx"
REFUSED = "memory/native/_refused.pyx"
HANDLER = "memory/native/_handler.pyx"
ARRAYS = "memory/native/_arrays.pyx"

RESTORE = """\
                if quiet:
                    restore_handler(before)
                else:
                    self.leave()
"""
LEFT = """\
                building = swap_building(outer)
                if building.block != NULL:       # NumPy did without it
                    arena_release(building.block)
                    building.block = NULL
"""
BUILD = f"""\
                array = function(*args, **kwargs)
                break
            except MemoryError as error:
                nbytes = getattr(error, "_total_size", None)     # as NumPy's own error has it
                if nbytes is None or not build_was_refused(nbytes):   # raised by the caller's code, or for another pool
                    raise
            finally:
{LEFT}{RESTORE}"""

HOOKS = (
    Bug(
        "realloc copies half",
        ARENA,
        "memcpy(moved.address, address, nbytes if nbytes < usable else usable)",
        "memcpy(moved.address, address, (nbytes if nbytes < usable else usable) // 2)",
        Suite("memory/test_handler_memory.py -k resize"),
    ),
    Bug(
        "realloc keeps the old block",
        ARENA,
        "    Arena.release(address)\n    return moved.address",
        "    return moved.address",
        Suite("memory/test_handler_memory.py -k resize"),
    ),
    Bug(
        "realloc fails where it need not move",
        ARENA,
        "        if nbytes <= usable:\n            return address\n",
        "",
        Suite("memory/test_lifetime.py::test_array_can_be_used_after_the_pool"),
    ),
    Bug(
        "shrinking never gives memory back",
        ARENA,
        "if nbytes <= usable and (nbytes >= usable // 2 or usable <= 1024):",
        "if nbytes <= usable:",
        Suite("memory/test_handler_memory.py::test_shrinking_gives_memory_back"),
    ),
    Bug(
        "calloc gives what it finds",
        ARENA,
        "(<Arena*>arena).acquire_zeroed(count * size)",
        "(<Arena*>arena).acquire(count * size)",
        Suite("memory/test_handler_memory.py::test_zeros_are_zero_on_recycled_memory"),
    ),
)

WAITING = (
    Bug(
        "an event is set in vain",
        ARENA,
        "    PyThread_release_lock(event)\n",
        "    pass\n",
        Suite("memory/test_waiting.py::test_a_return_wakes_who_waits"),
    ),
    Bug(
        "who is interrupted stays in the queue",
        ARENA,
        "            finally:\n                wait.end()\n            if block.address",
        "            finally:\n                pass\n            if block.address",
        Suite("memory/test_waiting.py -k leaves_the_queue"),
    ),
    Bug(
        "a request that waits counts as refused",
        ARENA,
        "            if block.address != NULL:\n                zeroed[0] = block.zeroed\n                return",
        "            if block.address != NULL:\n                self.arena.counters.refused.add_relaxed(1)\n"
        "                zeroed[0] = block.zeroed\n                return",
        Suite("memory/test_waiting.py -k a_request_served_after_waiting_is_no_refusal"),
    ),
    Bug(
        "a refusal of the pool is not counted",
        ARENA,
        "        if refused.refusal != Refusal.closed and refused.refusal != Refusal.too_large:\n"
        "            self.arena",
        "        if refused.refusal == Refusal.too_large:\n            self.arena",
        Suite("memory/test_limit.py::test_a_waiting_request_is_counted_once"),
    ),
    Bug(
        "Ctrl-C waits until NumPy is done",
        ARENA,
        "            if PyOS_InterruptOccurred():\n",
        "            if False:\n",
        Suite("memory/test_limit_numpy.py -k ctrl_c"),
    ),
    Bug(
        "Ctrl-C is lost in NumPy's wait",
        ARENA,
        "                PyErr_SetInterrupt()\n                break\n",
        "                break\n",
        Suite("memory/test_limit_numpy.py -k ctrl_c"),
    ),
    Bug(
        "NumPy collects no garbage at the limit",
        ARENA,
        "                collect_in_hook()\n",
        "",
        Suite("memory/test_limit_numpy.py -k garbage"),
    ),
    Bug(
        "a waiter collects garbage all the time",
        ARENA,
        "                        wait.collected()\n",
        "",
        Suite("memory/test_waiting.py -k small_share"),
    ),
    Bug(
        "NumPy's hook collects garbage while a handler is due",
        ARENA,
        "            if not signalled and wait.time_to_collect():",
        "            if wait.time_to_collect():",
        Suite("memory/test_limit_numpy.py -k signal_pending"),
    ),
    Bug(
        "resize waits",
        ARENA,
        "refused_hook(<Arena*>arena, nbytes, moved, False)",
        "refused_hook(<Arena*>arena, nbytes, moved, True)",
        Suite("memory/test_limit_numpy.py -k resize"),
    ),
    Bug(
        "zeros that had to wait are what was there",
        ARENA,
        "            memset(block.address, 0, count * size)\n",
        "            pass\n",
        Suite("memory/test_limit_numpy.py -k numpy_waits_for_room"),
    ),
    Bug(
        "a hook without the GIL is stopped by those who wait",
        REFUSED,
        "            block = arena_acquire_in_turn(arena, nbytes, arena.config.alignment)\n",
        "            pass\n",
        Suite("memory/test_limit_numpy.py -k without_the_gil"),
    ),
    Bug(
        "a refusal of NumPy's is not counted",
        REFUSED,
        "        arena.counters.refused.add_relaxed(1)\n",
        "        pass\n",
        Suite("memory/test_limit_numpy.py -k end_of_the_block"),
    ),
    Bug(
        "a note goes to any error",
        REFUSED,
        "    if nbytes == last_refusal.nbytes or (nbytes is None and plain):\n",
        "    if True:\n",
        Suite("memory/test_limit_numpy.py -k memory_error_of_others"),
    ),
    Bug(
        "a refusal is remembered for ever",
        HANDLER,
        "        forget_refusals()\n",
        "",
        Suite("memory/test_limit_numpy.py -k memory_error_of_others"),
    ),
    Bug(
        "a block warns, too",
        REFUSED,
        "        if thread != PyThread_get_thread_ident():\n",
        "        if True:\n",
        Suite("memory/test_limit_numpy.py -k end_of_the_block"),
    ),
    Bug(
        "uninstall says nothing",
        HANDLER,
        "        add_note(self, sys.exception())\n",
        "",
        Suite("memory/test_limit_numpy.py -k uninstall"),
    ),
    Bug(
        "the block that was waited for is not kept for NumPy",
        REFUSED,
        "            block.address = being_built.block\n            being_built.block = NULL\n",
        "            pass\n",
        Suite("memory/test_limit.py -k numpy_builds"),
    ),
    Bug(
        "garbage is not collected at the limit",
        ARENA,
        "                        gc.collect()\n",
        "                        pass\n",
        Suite("memory/test_limit.py::test_at_the_limit_garbage_is_collected"),
    ),
    Bug(
        "a waiter gives up at its first look",
        ARENA,
        "block.refusal != Refusal.limit or wait.is_over():\n                        break\n",
        "block.refusal != Refusal.limit or True:\n                        break\n",
        Suite("memory/test_limit.py -k waiter"),
    ),
    Bug(
        "any alignment will do",
        "memory/native/_block_sizes.pyx",
        "if value <= 0 or value > kHugePage or value & (value - 1):",
        "if value <= 0 or value > kHugePage:",
        Suite("memory/test_bad_input.py::test_alignment"),
    ),
    Bug(
        "a pool that is gone keeps its arena",
        ARENA,
        "            self.arena.abandon()\n",
        "            self.arena.close()\n",
        Suite("memory/test_lifetime.py::test_many_pools_leak_nothing"),
    ),
    Bug(
        "cached blocks count as in use",
        ARENA,
        '"in_use_bytes": max(0, used - arena.cached_bytes()),',
        '"in_use_bytes": used,',
        Suite("memory/test_arrays.py::test_dtypes"),
    ),
)

INSTALLING = (
    Bug(
        "uninstall takes the newest entry, whosever it is",
        HANDLER,
        "        while i >= 0 and entries[i][0] is not self:\n            i -= 1\n",
        "",
        Suite("memory/test_handler.py -k any_order"),
    ),
    Bug(
        "who entered later puts back what is gone",
        HANDLER,
        "(entries[i + 1][0], before, entries[i + 1][2])",
        "entries[i + 1]",
        Suite("memory/test_handler.py -k any_order"),
    ),
    Bug(
        "an exception leaves the pool installed",
        HANDLER,
        "        self.leave()\n        add_note(self, value)",
        "        if kind is None: self.leave()\n        add_note(self, value)",
        Suite("memory/test_handler.py -k an_exception_leaves"),
    ),
    Bug(
        "a closed pool can be installed",
        HANDLER,
        "        if self.arena.closed.load_relaxed():\n            raise self.refusal_error(0, Refusal.closed, None)\n"
        "        if self._tune",
        "        if self._tune",
        Suite("memory/test_handler.py -k cannot_be_installed"),
    ),
    Bug(
        "an installed pool is not held",
        HANDLER,
        "set_entries(entries + ((self, cnp.PyDataMem_GetHandler(),",
        "set_entries(entries + ((None, cnp.PyDataMem_GetHandler(),",
        Suite("memory/test_handler.py -k lives_until_it_is_taken_out"),
    ),
    Bug(
        "the capsule goes with its pool",
        HANDLER,
        "    Py_INCREF(capsule)\n    immortalise(<PyObject*>capsule)  ",
        "",
        Suite("memory/test_lifetime.py::test_many_pools_leak_nothing"),
    ),
    Bug(
        "a constructor takes another pool's refusal for its own",
        ARRAYS,
        "if nbytes is None or not build_was_refused(nbytes):",
        "if nbytes is None:",
        Suite("memory/test_limit_numpy.py -k a_refusal_by_another_pool_is_left_to_it"),
    ),
    Bug(
        "the next pool serves who waited for one that is gone",
        ARENA,
        "if block.address != NULL and arena.identify().serial != serial:",
        "if False:",
        Suite("memory/test_limit_numpy.py -k no_pool_serves_waiters_of_a_former_one"),
    ),
    Bug(
        "NumPy's constructor that raises leaves the pool installed",
        ARRAYS,
        BUILD,
        BUILD.replace("                break\n", f"{RESTORE}                break\n")
        .replace("                nbytes", f"{RESTORE}                nbytes")
        .replace(f"            finally:\n{LEFT}{RESTORE}", f"            finally:\n{LEFT}"),
        Suite("memory/test_handler.py -k constructor_that_fails"),
    ),
)

POOLS = (*HOOKS, *WAITING, *INSTALLING)
