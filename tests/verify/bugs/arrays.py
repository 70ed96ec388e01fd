"""In arrays, leases and buffers."""

from __future__ import annotations

from tests.verify.bug import Bug, Suite

ARRAYS = "memory/native/_arrays.pyx"
REQUEST = "memory/native/_array_request.pyx"
LEASE = "memory/native/_array_lease.pyx"

ON_ARRAYS = (
    Bug(
        "a block stays out when NumPy refuses the array",
        ARRAYS,
        "        arena_release(block)\n        raise\n",
        "        raise\n",
        Suite("memory/test_bad_input.py -k too_many_dimensions"),
    ),
    Bug(
        "an array does not own its block",
        ARRAYS,
        "    fields.flags |= cnp.NPY_ARRAY_OWNDATA\n",
        "",
        Suite("memory/test_arrays_owned.py::test_owns_its_data"),
    ),
    Bug(
        "arrays do not count their handler",
        ARRAYS,
        "    Py_INCREF(capsule)\n    fields.mem_handler",
        "    fields.mem_handler",
        Suite("memory/test_handler.py -k counts_its_handler"),
    ),
    Bug(
        "zeros only where there are some already",
        ARRAYS,
        "        if zeros and not zeroed:\n",
        "        if zeros and zeroed:\n",
        Suite("memory/test_arrays.py::test_zeros_on_dirty_memory"),
    ),
    Bug(
        "an array made from objects is let through",
        ARRAYS,
        "        if holds_references(array.dtype):",
        "        if False:",
        Suite("memory/test_bad_input.py::test_values_that_are_objects"),
    ),
    Bug(
        "a product of dimensions overflows",
        REQUEST,
        "        elif size > <size_t>PY_SSIZE_T_MAX // extent:\n",
        "        elif False:\n",
        Suite("memory/test_bad_input.py::test_product_overflows"),
    ),
    Bug(
        "the block that NumPy did without is kept",
        ARRAYS,
        "                    arena_release(building.block)\n                    building.block = NULL\n",
        "                    pass\n",
        Suite("memory/test_limit.py -k numpy_needs"),
    ),
    Bug(
        "closing loses the block that a constructor waited for",
        ARRAYS,
        "                if building.block != NULL:\n"
        "                    arena_release(building.block)\n                raise",
        "                raise",
        Suite("memory/test_limit_numpy.py -k loses_no_block"),
    ),
    Bug(
        "zeros_like writes beside what a subclass made",
        ARRAYS,
        "if type(array) is cnp.ndarray and owns_its_bytes(array):",
        "if True:",
        Suite("memory/test_arrays_owned.py -k zeros_like_of_a_subclass_stays_in_bounds"),
    ),
    Bug(
        "an emptied array still points to the block",
        ARRAYS,
        "    fields.data = <char*>nowhere\n",
        "",
        Suite("memory/test_lease.py -k emptied_array_points"),
    ),
    Bug(
        "an emptied array gives its block back again",
        ARRAYS,
        "    fields.flags &= ~cnp.NPY_ARRAY_OWNDATA\n    fields.mem_handler = NULL\n    Py_DECREF(handler)\n",
        "",
        Suite("memory/test_lease.py -k detached"),
    ),
    Bug(
        "an array is emptied though it is referred to weakly",
        ARRAYS,
        "        or fields.weakreflist != NULL ",
        "        or False ",
        Suite("memory/test_lease_reached.py -k referred_to_weakly"),
    ),
    Bug(
        "an array that was taken from its block is emptied of another's",
        ARRAYS,
        "        or fields.mem_handler != handler\n",
        "",
        Suite("memory/test_lease.py -k an_array_with_other_memory_is_left_alone"),
    ),
    Bug(
        "tracemalloc is not told of an emptied array",
        ARRAYS,
        "    untrack(block)\n",
        "",
        Suite("memory/test_lease.py -k tracemalloc"),
    ),
)

ON_LEASES = (
    Bug(
        "a lease empties its array though a view exists",
        LEASE,
        "if names > 0 and references_are(<PyObject*>array, 1 + names):",
        "if names > 0:",
        Suite("memory/test_lease_reached.py::test_memory_stays_while_it_can_be_reached"),
    ),
    Bug(
        "a lease leaves stale names their memory",
        LEASE,
        "                detach(array, <PyObject*>self.pool.capsule)\n",
        "                pass\n",
        Suite("memory/test_lease.py::test_stale_name_is_detached"),
    ),
    Bug(
        "a lease keeps its array after the block",
        LEASE,
        "            self.array = None\n",
        "",
        Suite("memory/test_lease.py::test_a_lease_that_ended_holds_nothing"),
    ),
    Bug(
        "a lease is entered twice",
        LEASE,
        "                self.state = ENTERED\n",
        "                pass\n",
        Suite("memory/test_lease.py::test_serves_one_block"),
    ),
    Bug(
        "a lease that was refused counts as entered",
        LEASE,
        "            fresh = self.state == NEW\n        if not fresh:\n",
        "            fresh = self.state == NEW\n            self.state = ENDED\n        if not fresh:\n",
        Suite("memory/test_lease.py::test_refused_entry_can_be_tried_again"),
    ),
    Bug(
        "each look at the caller's names keeps its code",
        "memory/native/_frames.pyx",
        "        }\n        Py_DECREF(code);\n        return found;",
        "        }\n        return found;",
        Suite("memory/test_lease_reached.py -k leaves_its_code"),
    ),
    Bug(
        "a lease of many dimensions loses their extents",
        LEASE,
        "        if nbytes <= sizeof(self.dims):\n",
        "        if nbytes > 0:\n            nbytes = min(nbytes, sizeof(self.dims))\n",
        Suite("memory/test_lease.py -k many_dimensions_as"),
    ),
)

BUFFER = "memory/native/_buffer.pyx"
RETURNED = Suite("memory/test_references.py -k returns_at_once")

ON_REFERENCES = (
    Bug(
        "a buffer is returned though a view holds it",
        BUFFER,
        "Py_REFCNT(self) == 1 + names",
        "Py_REFCNT(self) >= 1 + names",
        RETURNED,
    ),
    Bug(
        "a buffer's calls hold as many references as the interpreter likes",
        BUFFER,
        'bind_calls(Buffer, ("release", "__exit__"))\n',
        "",
        RETURNED,
    ),
    Bug(
        "a buffer is not returned before its names are gone",
        BUFFER,
        "names_in_caller(self, None)\n",
        "0\n",
        RETURNED,
    ),
    Bug(
        "names are not tried",
        "memory/native/_frames.pyx",
        "own_names_count = _names.own_names_count(Counter())",
        "own_names_count = False",
        Suite("memory/test_references.py -k names_are_worth"),
    ),
)

# Python 3.11 has no `PyFrame_GetVar`, and looks at all variables.
SINCE = (3, 12)

ON_NAMES = (
    Bug(
        "the look at the caller's names ends at the first",
        "memory/native/_frames.pyx",
        "i < code->co_nlocals && found < most; i++",
        "i < code->co_nlocals && found < 1; i++",
        Suite("memory/test_lease_reached.py -k each_name_counts"),
        since=SINCE,
    ),
    Bug(
        "the name that was found last time counts twice",
        "memory/native/_frames.pyx",
        "            if (i == first) continue;\n",
        "",
        Suite("memory/test_lease_reached.py -k found_last_time"),
        since=SINCE,
    ),
)

ON_C_AT_WORK = (
    Bug(
        "an array is handed out while C code is at work on it",
        "memory/native/_frames.pyx",
        "    if not arguments_count and not no_operand_is_borrowed(made_in is not None):\n        return 0\n",
        "",
        Suite("memory/test_c_at_work.py"),
        since=(3, 14),
    ),
)

SHARING = "memory/native/_sharing.pyx"

ON_SHARING = (
    Bug(
        "a pool that threads fight over is counted on",
        SHARING,
        ">= WITHIN_NS or not claim(callers):",
        ">= 0 or not claim(callers):",
        Suite("memory/test_sharing.py::test_called_by_several_threads_at_full_speed"),
        without_gil=True,
    ),
    Bug(
        "a pool that threads call now and then is counted no longer",
        SHARING,
        "if now_ns - since(callers, now_ns) >= WITHIN_NS or not claim(callers):",
        "if not claim(callers):",
        Suite("memory/test_sharing.py -k by_slow_threads"),
        without_gil=True,
    ),
)

ARRAYS_AND_LEASES = (*ON_ARRAYS, *ON_LEASES, *ON_REFERENCES, *ON_NAMES, *ON_C_AT_WORK, *ON_SHARING)
