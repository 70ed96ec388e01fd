"""Memory of a pool that bears a stamp of its holder: arrays, buffers, and blocks from the hooks that NumPy calls."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from bufpool import BufferPool

PAGE = 4096


class ViolationError(Exception):
    """Something that must not be."""


# --- things: memory with a stamp -------------------------------------------------------------------------------------


class Thing:
    """Something that holds pooled memory: its bytes bear a number of its own until it is dropped."""

    def __init__(self, holder: Any, number: int) -> None:
        self.holder = holder
        self.number = number
        mark(self.bytes(), number)

    def bytes(self) -> np.ndarray:
        if isinstance(self.holder, np.ndarray):
            return self.holder.reshape(-1).view("u1")
        return np.frombuffer(self.holder, "u1")

    def check(self) -> None:
        check(self.bytes(), self.number)

    def drop(self) -> None:
        self.check()
        self.holder = None


class Raw(Thing):
    """A block from the hooks that NumPy calls, here called without the GIL."""

    def __init__(self, hooks: Hooks, nbytes: int, zeros: bool, number: int) -> None:
        self.hooks = hooks
        self.nbytes = nbytes
        self.address = hooks.calloc(hooks.arena, 1, nbytes) if zeros else hooks.malloc(hooks.arena, nbytes)
        if not self.address:
            raise MemoryError
        if zeros and self.bytes().any():
            raise ViolationError(f"{nbytes} bytes of zeros are none")
        self.fill(number)

    def bytes(self) -> np.ndarray:
        block = ctypes.cast(self.address, ctypes.POINTER(ctypes.c_ubyte))
        return np.ctypeslib.as_array(block, (self.nbytes,))

    def fill(self, number: int) -> None:
        # By the C library, where a sanitizer looks on; NumPy's own loops it does not see.
        self.number = number
        ctypes.memset(self.address, number & 255, self.nbytes)
        mark(self.bytes(), number)

    def resize(self, nbytes: int) -> None:
        moved = self.hooks.realloc(self.hooks.arena, self.address, nbytes)
        if not moved:
            raise MemoryError
        kept = min(self.nbytes, nbytes)
        self.address, self.nbytes = moved, nbytes
        if self.bytes()[: min(kept, 8)].tobytes() != head(self.number)[: min(kept, 8)]:
            raise ViolationError(f"realloc to {nbytes} bytes lost what block {self.number} held")
        self.fill(self.number)

    def drop(self) -> None:
        self.check()
        ctypes.memset(self.address, 255, self.nbytes)
        address, self.address = self.address, None
        self.hooks.free(self.hooks.arena, address, self.nbytes)


def head(number: int) -> bytes:
    return number.to_bytes(8, "little")


def mark(view: np.ndarray, number: int) -> None:
    """Write the number at both ends, and a byte of it into each page between."""
    view[::PAGE] = number & 255
    ends = np.frombuffer(head(number), "u1")
    view[-8:] = ends[: len(view[-8:])]
    view[:8] = ends[: len(view[:8])]


def check(view: np.ndarray, number: int) -> None:
    """Raise `ViolationError` if somebody else wrote here."""
    expected = head(number)
    first, last = view[:8].tobytes(), view[-8:].tobytes()
    pages = view[PAGE:-8:PAGE]
    if first != expected[: len(first)] or (len(view) >= 16 and last != expected) or (pages != number & 255).any():
        raise ViolationError(f"{len(view)} bytes of {number} bear {first.hex()} ... {last.hex()}")


# --- NumPy's hooks, as C code calls them -----------------------------------------------------------------------------


class Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("arena", ctypes.c_void_p),
        ("malloc", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
        ("calloc", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)),
        ("realloc", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
        ("free", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
    )


class Hooks:
    """The four functions of a pool. ``ctypes`` lets go of the GIL for each call, so that threads meet in the core."""

    GET_HANDLER = 305  # PyDataMem_GetHandler in NumPy's table of C functions; the same in every NumPy 2

    def __init__(self, pool: BufferPool) -> None:
        capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
        capsule_pointer.restype, capsule_pointer.argtypes = (ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p))
        table = capsule_pointer(np._core._multiarray_umath._ARRAY_API, None)
        function = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[self.GET_HANDLER]
        get_handler = ctypes.PYFUNCTYPE(ctypes.py_object)(function)
        with pool:
            capsule = get_handler()
        handler = Handler.from_address(capsule_pointer(capsule, b"mem_handler"))
        assert handler.name == b"bufpool", handler.name
        self.handler = handler
        self.arena = handler.arena
        self.malloc, self.calloc = handler.malloc, handler.calloc
        self.realloc, self.free = handler.realloc, handler.free
