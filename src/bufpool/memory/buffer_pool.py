"""`BufferPool`: the pool of memory that users make."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn, SupportsIndex, TypeVar

from bufpool._words import amount, plural
from bufpool.errors import ClosedError, LimitError, SizeError
from bufpool.memory.conf import checked
from bufpool.memory.container import available_memory
from bufpool.memory.native._array_lease import LeaseMaker
from bufpool.memory.native._arrays import touch
from bufpool.memory.native._block_sizes import good_size
from bufpool.memory.native._buffer import BufferMaker
from bufpool.memory.native._scratch import ScratchMaker
from bufpool.memory.sizes import MOST, parse_size
from bufpool.memory.stats import PoolStats, from_reading

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor
    from types import EllipsisType

    from numpy.typing import DTypeLike

    from bufpool._typing import Shape

__all__ = ["BufferPool", "default_pool"]

MIN_RETAINED = 16 << 20  # bytes: idle memory that never ages out, so that a pause costs no page faults

_numbers = itertools.count(1)


class BufferPool(LeaseMaker, ScratchMaker, BufferMaker):
    """Recycles the memory of arrays and buffers, within bounds, and returns idle memory to the system.

    Threads may share it. Arrays and buffers stay valid when the pool is gone.

    Sizes are numbers of bytes, or strings such as ``"512 MiB"``, ``"1.5 GB"`` and ``"25%"`` (of the memory that this
    process may use). The environment variable ``BUFPOOL_CONF`` changes the defaults without a change to the program.

    Parameters
    ----------
    limit : int or str, optional
        Maximum bytes the pool may hold, in use plus idle. If a request would exceed it, the pool returns idle memory to
        the system, collects garbage, waits up to `timeout`, and then raises `LimitError`. A pool with a limit keeps no
        per-thread caches. Default: no limit.
    max_retained : int or str, optional
        Maximum bytes the pool keeps idle; the system gets back the rest. Default: with a `limit`, no further bound;
        else a quarter of the memory of the machine, or of the container if that has less.
    max_idle : float or None, default 10.0
        Seconds until memory that stays idle goes back to the system. The last 16 MiB stay. The pool also holds at most
        1.5 times its peak use in that time, or 64 MiB more than is in use if that is more. None: only `limit` and
        `max_retained` bound idle memory.
    timeout : float or None, default 0.0
        Seconds that a request waits at the limit. None: for ever. NumPy's own allocations under ``with pool:`` wait
        too.
    alignment : int, default 64
        Alignment of every block in bytes: a power of two up to 2 MiB.
    upstream : {'thp', 'plain', 'hugetlb', 'malloc'}
        Where the pool's memory comes from. ``'thp'``: transparent huge pages, where a region is large enough.
        ``'plain'``: ordinary pages. ``'hugetlb'``: the system's reserve of huge pages; the field ``degraded`` of
        `PoolStats` counts the regions for which the reserve was empty. ``'malloc'``: for profilers; each block above
        64 KiB comes from the C library and is freed at its release.
    mlock : bool, default False
        Lock the memory, so that it is never swapped out. ``ulimit -l`` bounds how much can be locked.
    prefault : bool, default False
        Touch memory when it is mapped, not at its first use.
    wipe : bool, default False
        Clear every block before it is used again, so that it shows no old data. Each checkout then writes the whole
        block.
    maintenance_thread : bool, default True
        Give idle memory back even while nobody calls the pool. One thread does it for all pools of the process. It runs
        no Python code, and ends when no pool holds more than 16 MiB. If False, memory goes back during calls of the
        pool.
    tune_malloc : bool, default True
        Keep glibc's ``malloc`` fast for other libraries. The first ``with pool:`` in a process raises its thresholds,
        as large arrays do in plain NumPy. Without glibc it has no effect.
    name : str, optional
        Name of the pool in messages. Default: ``pool-1``, ``pool-2``, ...

    Raises
    ------
    SettingError
        A setting is out of its range; no pool was made. A `ValueError`.

    Examples
    --------
    >>> import bufpool, numpy as np
    >>> pool = bufpool.BufferPool(limit=1 << 30)
    >>> a = pool.empty((1080, 1920), "f4")      # an ndarray; its memory comes back by itself
    >>> with pool:                              # NumPy's own allocations, code unchanged
    ...     b = np.sqrt(a * a)
    >>> pool.owns(b)
    True
    """

    __slots__ = ()

    def __init__(
        self,
        limit: int | str | EllipsisType | None = ...,
        *,
        max_retained: int | str | EllipsisType | None = ...,
        max_idle: float | EllipsisType | None = ...,
        timeout: float | EllipsisType | None = ...,
        alignment: int = 64,
        upstream: Literal["thp", "plain", "hugetlb", "malloc"] | EllipsisType = ...,
        mlock: bool | EllipsisType = ...,
        prefault: bool | EllipsisType = ...,
        wipe: bool | EllipsisType = ...,
        maintenance_thread: bool | EllipsisType = ...,
        tune_malloc: bool | EllipsisType = ...,
        name: str | None = None,
    ) -> None:
        # Not from `locals()`: without memory for it CPython 3.13 ends with a segmentation fault.
        given = {
            "limit": limit,
            "max_retained": max_retained,
            "max_idle": max_idle,
            "timeout": timeout,
            "upstream": upstream,
            "mlock": mlock,
            "prefault": prefault,
            "wipe": wipe,
            "maintenance_thread": maintenance_thread,
            "tune_malloc": tune_malloc,
        }
        if name is None:
            name = f"pool-{next(_numbers)}"
        elif not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        settings = checked(name, given)
        if settings["limit"] is None and settings["max_retained"] is None:
            memory = available_memory()
            settings["max_retained"] = None if memory is None else memory // 4
        idle, tune = settings.pop("max_idle"), settings.pop("tune_malloc")
        self._set_up(
            name=name,
            min_retained=MIN_RETAINED,
            max_idle_ns=0 if idle is None else max(2, int(idle * 1e9)),
            alignment=alignment,
            pages=settings.pop("upstream"),
            lock=settings.pop("mlock"),
            **settings,
        )
        self._tune_malloc = tune

    def prewarm(self, n: int, shape: Shape, dtype: DTypeLike | None = None) -> None:
        """Prepare idle memory, so that the next `n` arrays of this shape and dtype cause no page faults.

        Parameters
        ----------
        n : int
            Number of arrays.
        shape, dtype
            As of `empty`.

        Raises
        ------
        LimitError
            The limit leaves no room for all of them; blocks that were already made stay idle. A `MemoryError`.
        SizeError
            `n` is negative, or `n` arrays need more than `max_retained`. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.BufferPool()
        >>> pool.prewarm(4, 1 << 20, "u1")
        >>> pool.stats().idle_bytes >= 4 << 20
        True
        """
        count = operator.index(n)
        if count < 0:
            raise SizeError(f"pool {self.name!r}: cannot prewarm {count} {plural(count, 'array')}")
        blocks: list[Any] = []
        while len(blocks) < count:
            blocks.append(self.empty(shape, dtype))
            if len(blocks) == 1:
                self._check_room(count, blocks[0].nbytes)
            touch(blocks[-1])

    def _check_room(self, count: int, nbytes: int) -> None:
        """Raise if the pool cannot keep so many blocks idle. Called before their memory is written."""
        block = good_size(nbytes + self.alignment - 64)  # a wider alignment than a block's own takes more
        what = f"pool {self.name!r}: requested {count} {plural(count, 'block')} of {amount(block)}"
        if self.limit is not None and count * block > self.limit:
            raise LimitError(f"{what}; the pool's limit is {amount(self.limit)}")
        if self.max_retained is not None and count * block > self.max_retained:
            raise SizeError(f"{what}; the pool keeps at most {amount(self.max_retained)} idle (max_retained)")

    def trim(self, keep: SupportsIndex | str = 0) -> int:
        """Return idle memory to the system now.

        A page stays if a small block on it is in use. The few small blocks in another thread's cache stay if that
        thread is using the pool at this moment.

        Parameters
        ----------
        keep : int or str
            Idle bytes that may stay: a number, or a string such as ``"64 MiB"``.

        Returns
        -------
        int
            Bytes returned to the system.

        Raises
        ------
        SizeError
            `keep` is negative, or a string that is not a size. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.BufferPool()
        >>> del_me = pool.empty(1 << 20, "u1"); del del_me
        >>> pool.trim() >= 1 << 20
        True
        >>> pool.stats().idle_bytes
        0
        """
        if isinstance(keep, str):
            try:
                value = parse_size(keep)
            except ValueError as error:
                raise SizeError(f"pool {self.name!r}: keep {error}") from None
        else:
            value = operator.index(keep)
        if value < 0:
            raise SizeError(f"pool {self.name!r}: keep must be 0 bytes or more, not {value}")
        return self._trim(min(value, MOST))

    # --- NumPy's allocator ---

    def __call__(self, function: F) -> F:
        """Return `function` wrapped so that it runs under ``with pool:``. Use it as a decorator or as a call.

        A generator, coroutine or asynchronous generator runs under the pool too, but not while it is suspended.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> pool = bufpool.BufferPool()
        >>> @pool
        ... def double(a):
        ...     return a + a
        >>> pool.owns(double(np.arange(3)))
        True
        """
        from bufpool.memory.decorate import under

        return under(self, function)

    def thread_pool(self, max_workers: int | None = None, **kwargs: Any) -> ThreadPoolExecutor:
        """Return a `concurrent.futures.ThreadPoolExecutor` whose workers run under this pool.

        Parameters
        ----------
        max_workers : int, optional
            Maximum number of threads. Default: the executor's.
        **kwargs
            Other arguments of the executor. An `initializer` runs after the pool is installed.

        Raises
        ------
        ClosedError
            The pool is closed.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> pool = bufpool.BufferPool()
        >>> with pool.thread_pool(2) as workers:
        ...     results = list(workers.map(np.ones, [10, 20]))
        >>> all(pool.owns(each) for each in results)
        True
        """
        from concurrent.futures import ThreadPoolExecutor

        if self.closed:
            raise ClosedError(f"pool {self.name!r} is closed: NumPy could not allocate in its threads")
        initializer = kwargs.pop("initializer", None)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")

        def start(*args: Any) -> None:
            self.install()
            if initializer is not None:
                initializer(*args)

        return ThreadPoolExecutor(max_workers, initializer=start, **kwargs)

    # --- statistics ---

    def stats(self) -> PoolStats:
        """Return a snapshot of the pool's counts, which ``print`` shows as a table.

        To find what `trim` would return, it inspects the small blocks of slabs that have idle ones. A million of them
        take a millisecond. Checkouts and returns do not become slower.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.BufferPool()
        >>> a = pool.empty(1000, "u1")
        >>> pool.stats().in_use_bytes
        1024
        """
        return from_reading(self._read_all())

    def __repr__(self) -> str:
        state = self._read()
        used = state["in_use_bytes"]
        idle = max(0, state["reserved_bytes"] - used)
        limit = "no limit" if self.limit is None else f"limit {amount(self.limit)}"
        closed = ", closed" if self.closed else ""
        return f"<BufferPool {self.name!r}: {amount(used)} in use, {amount(idle)} idle, {limit}{closed}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy pool {self.name!r}: its memory belongs to this process")


_default: dict[str, BufferPool] = {}


def default_pool() -> BufferPool:
    """Return the pool of the process, which the first call makes.

    Examples
    --------
    >>> import bufpool
    >>> bufpool.default_pool() is bufpool.default_pool()
    True
    """
    # No lock, which a fork could leave shut in the child: of two that are made at once one is dropped. And not `get`:
    # without the GIL it takes the dictionary's lock.
    try:
        return _default["pool"]
    except KeyError:
        return _default.setdefault("pool", BufferPool(name="default"))


def make_default(pool: BufferPool) -> None:
    """Make `pool` what `default_pool` returns from now on."""
    _default["pool"] = pool
