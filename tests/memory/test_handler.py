"""NumPy's allocator: a pool installed in a context, nested, left in any order, and what was allocated under it."""

from __future__ import annotations

import ctypes
import gc
import itertools
import sys
from contextvars import copy_context

import numpy as np
import pytest

import bufpool
from bufpool import BufferPool
from tests.support.accounting import handler

SIZES = (1, 7, 64, 100, 1000, 4096, 10_000, 100_000, 1_000_000, 5_000_000)  # bytes: every kind of block


# --- the block -----------------------------------------------------------------------------------------------------


def test_all_that_numpy_allocates_is_the_pools(pool):
    with pool as entered:
        assert entered is pool
        assert pool.installed
        made = [
            np.ones(10),
            np.arange(5) * 2,
            np.array([1, 2]),
            np.zeros((3, 3)),
            np.sqrt(np.ones(9)),
            np.ones(4).copy(),
        ]
    assert not pool.installed
    assert all(pool.owns(a) and handler(a) == "bufpool" for a in made)
    assert not pool.owns(np.ones(10))
    assert (made[1] == [0, 2, 4, 6, 8]).all()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_an_exception_leaves_the_block_and_goes_on(pool, error):
    with pytest.raises(error), pool:
        raise error
    assert not pool.installed


def test_blocks_nest(pool):
    with pool, pool:
        with pool:
            pass
        assert pool.installed


def test_the_inner_of_two_pools_serves(pool):
    inner = BufferPool()
    with pool:
        with inner:
            a = np.ones(8)
            with pool:
                b = np.ones(8)
        c = np.ones(8)
    assert inner.owns(a)
    assert pool.owns(b)
    assert pool.owns(c)


def test_leaving_does_not_close(pool):
    with pool:
        pass
    assert not pool.closed
    with pool:
        assert pool.owns(np.ones(3))


def test_what_was_not_installed_cannot_be_taken_out(pool):
    other = BufferPool()
    assert pool.uninstall() is False
    with other:
        assert pool.uninstall() is False
        assert pool.__exit__(None, None, None) is False
        assert other.installed


@pytest.mark.parametrize("length", [2, 4, 6])
def test_installations_are_taken_out_in_any_order(length):
    """Every order of installing and removing two pools, against a list that does the same."""
    pools = (BufferPool(), BufferPool())
    actions = [(verb, i) for verb in ("install", "uninstall") for i in (0, 1)]
    for steps in itertools.product(actions, repeat=length):
        model: list[int] = []
        for verb, i in steps:
            if verb == "install":
                pools[i].install()
                model.append(i)
            else:
                assert pools[i].uninstall() is (i in model)
                if i in model:
                    del model[len(model) - 1 - model[::-1].index(i)]
            assert [each.installed for each in pools] == [model[-1:] == [0], model[-1:] == [1]]
        for i in model:
            assert pools[i].uninstall()
        assert handler() == "default_allocator"


def test_an_installed_pool_lives_until_it_is_taken_out():
    def inside():
        BufferPool().install()
        gc.collect()
        for n in SIZES:
            assert np.ones(n, "u1").sum() == n
        assert handler() == "bufpool"

    copy_context().run(inside)


def test_a_pool_that_was_never_set_up_cannot_be_installed():
    with pytest.raises(bufpool.ClosedError, match="is closed"):
        BufferPool.__new__(BufferPool).install()


def test_a_closed_pool_cannot_be_installed():
    pool = BufferPool(name="shut")
    pool.close()
    with pytest.raises(bufpool.ClosedError, match="shut"), pool:
        pass


def test_closed_inside_the_block(pool):
    with pool:
        kept = np.arange(1000)
        pool.close()
        with pytest.raises(MemoryError):
            np.ones(1000)
    assert kept.sum() == 499500
    assert np.ones(3).sum() == 3


# --- a handler of somebody else ------------------------------------------------------------------------------------


class _Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free")]


class _Handler(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator)]


def _numpy_function(index: int):
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype = ctypes.c_void_p
    pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(pointer(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    kinds = {304: (ctypes.py_object, ctypes.py_object), 305: (ctypes.py_object,)}
    return ctypes.PYFUNCTYPE(*kinds[index])(table[index])


set_handler, get_handler = _numpy_function(304), _numpy_function(305)
_kept: list[object] = []  # arrays may point to it until the process ends


@pytest.fixture(scope="module")
def foreign():
    """The capsule of another allocator: NumPy's default one under a name of its own."""
    make = ctypes.pythonapi.PyCapsule_New
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    read = ctypes.pythonapi.PyCapsule_GetPointer
    default = ctypes.cast(read(get_handler(), b"mem_handler"), ctypes.POINTER(_Handler)).contents
    mine = _Handler.from_buffer_copy(default)
    mine.name = b"foreign"
    _kept.append(mine)
    return make(ctypes.addressof(mine), b"mem_handler", None)


def test_a_foreign_handler_outside_is_put_back(pool, foreign):
    before = set_handler(foreign)
    try:
        with pool:
            assert pool.owns(np.ones(3))
        assert handler() == "foreign"
    finally:
        set_handler(before)


def test_a_foreign_handler_between_two_pools(pool, foreign):
    inner = BufferPool()
    with pool:
        before = set_handler(foreign)
        assert not pool.installed
        with inner:
            assert inner.owns(np.ones(3))
        assert handler() == "foreign"
        a = np.arange(1000)
        set_handler(before)
        assert pool.installed
        assert pool.owns(np.ones(3))
    assert handler(a) == "foreign"
    a.resize(5000, refcheck=False)
    assert a[:1000].sum() == 499500


def test_an_array_counts_its_handler_and_gives_it_up(pool):
    """If an array released a reference that it had not counted, the allocator would soon be freed under all others."""
    with pool:
        capsule = get_handler()

    def count():  # always in the same way: a local name is lent to one call and counted for another, from 3.14 on
        return sys.getrefcount(capsule)

    before = count()
    made = [pool.empty(3) for _ in range(10)]
    with pool:
        made += [np.ones(3) for _ in range(10)]
    made.clear()
    assert count() == before


def test_a_constructor_that_fails_leaves_numpys_allocator(pool):
    class Fails:
        def __array__(self, dtype=None, copy=None):
            assert pool.installed
            raise LookupError("mine")

    for make in (pool.array, pool.ascontiguousarray, pool.asfortranarray):
        with pytest.raises(LookupError, match="mine"):
            make(Fails())
        assert not pool.installed
