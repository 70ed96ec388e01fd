"""`BufferPool`, the face of everything that concerns memory."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn, SupportsIndex, TypeVar

from bufpool._validate import choice, flag, seconds
from bufpool._words import plural
from bufpool.errors import ClosedError, LimitError, SizeError
from bufpool.memory.conf import UPSTREAMS, with_defaults
from bufpool.memory.container import available_memory
from bufpool.memory.native._array_lease import LeaseMaker
from bufpool.memory.native._arrays import touch
from bufpool.memory.native._block_sizes import good_size
from bufpool.memory.native._buffer import BufferMaker
from bufpool.memory.native._scratch import ScratchMaker
from bufpool.memory.sizes import MOST, nbytes, parse_size
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
    """Memory for arrays and buffers, kept ready for reuse, bounded, and given back when it is no longer needed.

    Safe to share between threads. Arrays and buffers may outlive the pool.

    Sizes are numbers of bytes, or texts such as ``"512 MiB"``, ``"1.5 GB"`` and ``"25%"`` (of the memory that this
    process may use). Defaults can be changed from outside of a program, by the environment variable ``BUFPOOL_CONF``.

    Parameters
    ----------
    limit : int or str, optional
        Most bytes in use and idle together. A request beyond it makes the pool give back idle memory, collect garbage,
        wait up to `timeout` and then raise `LimitError`. A bounded pool keeps no per-thread caches. Default: no limit.
    max_retained : int or str, optional
        Most bytes that stay idle: what comes back above that goes to the system. Default: a quarter of the memory of
        the machine or, if that is less, of the container; with a `limit`, no further bound.
    max_idle : float or None, default 10.0
        Seconds. Idle memory that nobody needed for so long goes back to the system, down to 16 MiB, whether or not the
        program calls the pool. Until then the pool may hold 1.5 times the peak use of that time, and always 64 MiB
        more than is in use. None: only `limit` and `max_retained` bound what is idle.
    timeout : float or None, default 0.0
        Seconds to wait at the limit; None: for ever. It holds for NumPy's own allocations under ``with pool:``, too.
    alignment : int, default 64
        Of every block, in bytes: a power of two up to 2 MiB.
    upstream : {'thp', 'plain', 'hugetlb', 'malloc'}
        Where memory comes from: transparent huge pages where a region holds one, plain pages, or explicit huge pages
        of the system's reserve (``degraded`` of `PoolStats` counts the regions that it could not serve). ``'malloc'``
        is for profilers: the C library serves each block above 64 KiB and gets it back at its release, so nothing is
        recycled.
    mlock : bool, default False
        Lock the memory, so that it is never swapped out. Bounded by ``ulimit -l``.
    prefault : bool, default False
        Touch memory when it is mapped and not on first use.
    wipe : bool, default False
        No block shows a byte of its last user. Costs a write of the block on each checkout.
    maintenance_thread : bool, default True
        One thread of the process gives idle memory back while nobody calls the pool. It runs no Python code, and ends
        when no pool holds more than 16 MiB. Without it, calls of the pool do the work.
    tune_malloc : bool, default True
        When the pool is installed, raise the thresholds of glibc's ``malloc`` as NumPy's own large arrays would have
        done, so that other libraries keep their speed. Once a process; elsewhere than with glibc it does nothing.
    name : str, optional
        Shown in messages. Default: ``pool-1``, ``pool-2``, ...

    Raises
    ------
    SettingError
        A setting out of its range; nothing was made. A `ValueError`.

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
        if name is None:
            name = f"pool-{next(_numbers)}"
        elif not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        chosen = with_defaults(
            limit=limit,
            max_retained=max_retained,
            max_idle=max_idle,
            timeout=timeout,
            upstream=upstream,
            mlock=mlock,
            prefault=prefault,
            wipe=wipe,
            maintenance_thread=maintenance_thread,
            tune_malloc=tune_malloc,
        )
        most = nbytes("limit", chosen["limit"], name)
        retained = nbytes("max_retained", chosen["max_retained"], name)
        if most is None and retained is None:
            memory = available_memory()
            retained = None if memory is None else memory // 4
        idle = seconds("max_idle", chosen["max_idle"], name)
        tune = flag("tune_malloc", chosen["tune_malloc"], name)
        self._set_up(
            name=name,
            limit=most,
            max_retained=retained,
            min_retained=MIN_RETAINED,
            max_idle_ns=0 if idle is None else max(2, int(idle * 1e9)),
            alignment=alignment,
            pages=choice("upstream", chosen["upstream"], name, UPSTREAMS),
            lock=flag("mlock", chosen["mlock"], name),
            prefault=flag("prefault", chosen["prefault"], name),
            wipe=flag("wipe", chosen["wipe"], name),
            maintenance_thread=flag("maintenance_thread", chosen["maintenance_thread"], name),
            timeout=seconds("timeout", chosen["timeout"], name),
        )
        self._tune_malloc = tune

    def prewarm(self, n: int, shape: Shape, dtype: DTypeLike | None = None) -> None:
        """Make sure that `n` arrays of this shape and dtype can be made at once without a page fault.

        Parameters
        ----------
        n : int
            How many.
        shape, dtype
            As of `empty`.

        Raises
        ------
        LimitError
            The limit does not leave room for all of them; what was made stays idle. A `MemoryError`.
        SizeError
            `n` is negative, or the pool would not keep so many idle: they exceed `max_retained`. A `ValueError`.

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
        """Raise if the pool would not hold so many idle blocks, before the memory of all is written."""
        block = good_size(nbytes + self.alignment - 64)  # a wider alignment than a block's own takes more
        what = f"pool {self.name!r}: requested {count} {plural(count, 'block')} of {block} bytes"
        if self.limit is not None and count * block > self.limit:
            raise LimitError(f"{what}, the limit is {self.limit} {plural(self.limit, 'byte')}")
        if self.max_retained is not None and count * block > self.max_retained:
            raise SizeError(
                f"{what}, and max_retained keeps at most {self.max_retained} "
                f"{plural(self.max_retained, 'byte')} idle"
            )

    def trim(self, keep: SupportsIndex | str = 0) -> int:
        """Give idle memory back to the system now.

        Pages that hold a part of a small block in use stay. So do the few small blocks that another thread keeps for
        itself, if it uses the pool in this moment.

        Parameters
        ----------
        keep : int or str
            Idle bytes that may stay; a text such as ``"64 MiB"`` too.

        Returns
        -------
        int
            Bytes given back.

        Raises
        ------
        SizeError
            `keep` is negative, or a text that is no size. A `ValueError`.

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
            raise SizeError(f"pool {self.name!r}: keep must not be negative, not {value}")
        return self._trim(min(value, MOST))

    # --- NumPy's allocator ---

    def __call__(self, function: F) -> F:
        """Make `function` run under ``with pool:``: as a decorator, or to hand a function to a thread pool.

        Generators, coroutines and asynchronous generators run under the pool while they run, and not between.

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
            Most threads. Default: as of the executor.
        **kwargs
            Other arguments of the executor; an `initializer` of yours runs after the pool is installed.

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
            raise ClosedError(f"pool {self.name!r} is closed: its threads could allocate nothing")
        initializer = kwargs.pop("initializer", None)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")

        def start(*args: Any) -> None:
            self.install()
            if initializer is not None:
                initializer(*args)

        return ThreadPoolExecutor(max_workers, initializer=start, **kwargs)

    # --- measures ---

    def stats(self) -> PoolStats:
        """Return a snapshot of all counts. It costs the hot paths nothing; ``print`` shows it as a table.

        To see what `trim` could give back, it looks at the small blocks (below 2 MiB) of slabs that have idle ones: a
        millisecond for a million of them.

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
        limit = "no limit" if self.limit is None else f"limit {self.limit}"
        closed = ", closed" if self.closed else ""
        return (
            f"<BufferPool {self.name!r}: {used} {plural(used, 'byte')} in use, "
            f"{state['reserved_bytes'] - used} idle, {limit}{closed}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy pool {self.name!r}: it is memory of this process")


_default: dict[str, BufferPool] = {}


def default_pool() -> BufferPool:
    """Return the process's own pool, made on first use.

    Examples
    --------
    >>> import bufpool
    >>> bufpool.default_pool() is bufpool.default_pool()
    True
    """
    # No lock, which a fork could leave shut in the child: of two that are made at once one is dropped.
    return _default.get("pool") or _default.setdefault("pool", BufferPool(name="default"))


def make_default(pool: BufferPool) -> None:
    """Make `pool` what `default_pool` returns from now on."""
    _default["pool"] = pool
