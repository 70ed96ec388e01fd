"""`AsyncPool`: a pool of objects that are costly to create, for tasks of asyncio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from bufpool.objects.advice import Readings
from bufpool.objects.maintenance import maintain, new_pool
from bufpool.objects.native._async_lease import TaskFront
from bufpool.objects.runtimes import ExecutorRuntime, TaskRuntime
from bufpool.objects.settings import Settings, checked

if TYPE_CHECKING:
    from types import TracebackType

    from bufpool.objects.native._pool_state import PoolCore

__all__ = ["AsyncPool"]

T = TypeVar("T")


class AsyncPool(TaskFront[T], Readings[T]):
    """A pool of objects for tasks of asyncio: as `Pool`, with the same settings, names and errors.

    `factory` and the other callbacks are called in the loop; if they return an awaitable, it is awaited. Tasks of
    several loops may share a pool, if its objects may go from loop to loop.

    If a waiting task is cancelled, no object is lost: one that was just given to it goes to the next client.
    If a task is cancelled in a callback, the object of that callback is closed, because its state is unknown.

    Examples
    --------
    >>> import asyncio, bufpool
    >>> async def connect():
    ...     await asyncio.sleep(0)
    ...     return object()
    >>> async def main():
    ...     async with bufpool.AsyncPool(connect, max_size=2) as pool:
    ...         async with pool.lease() as connection:
    ...             return pool.in_use
    >>> asyncio.run(main())
    1
    """

    __slots__ = ()

    # Two, because type checkers cannot distinguish an awaitable object from one that is to be awaited.
    @overload
    def __init__(self, factory: Callable[[], Awaitable[T]], **settings: Unpack[Settings[T]]) -> None: ...
    @overload
    def __init__(self, factory: Callable[[], T], **settings: Unpack[Settings[T]]) -> None: ...
    def __init__(
        self,
        factory: Callable[[], T | Awaitable[T]],
        *,
        min_size: int = 0,
        max_size: int = 10,
        timeout: float | None = 30.0,
        max_waiting: int | None = None,
        overflow: Literal["wait", "fail", "create"] = "wait",
        workers: int = 0,
        on_failure: Literal["raise", "wait"] = "raise",
        fair: bool = False,
        lifo: bool = True,
        check: Callable[[T], object] | None = None,
        check_on: str | Collection[str] = "checkout",
        check_after: float = 0.0,
        check_interval: float = 30.0,
        configure: Callable[[T], object] | None = None,
        on_acquire: Callable[[T], object] | None = None,
        reset: Callable[[T], object] | None = None,
        close: Callable[[T], object] | None = None,
        max_idle: float | None = None,
        max_lifetime: float | None = None,
        max_uses: int | None = None,
        backoff: tuple[float, float] | None = (0.05, 10.0),
        discard_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        leak_threshold: float | None = None,
        debug: bool | None = None,
        name: str | None = None,
    ) -> None:
        self._attach(new_pool(factory, checked(factory, locals(), in_threads=False)))
        self._attach_runtime(TaskRuntime())
        self._core.engine.refill(self._runtime)

    async def discard(self, item: T, /) -> None:
        """Close an object that is broken, as `Pool.discard`."""
        await self._core.engine.discard(item, self._runtime)

    async def resize(self, min_size: int | None = None, max_size: int | None = None) -> None:
        """Change the bounds, as `Pool.resize`."""
        await self._core.engine.resize(min_size, max_size, self._runtime)

    async def drain(self) -> None:
        """Replace every object that exists now, as `Pool.drain`."""
        await self._core.engine.drain(self._runtime)

    async def wait(self, ready: int | None = None, timeout: float | EllipsisType | None = ...) -> None:
        """Create objects until `ready` of them, or `min_size`, exist, as `Pool.wait`."""
        await self._core.engine.wait(ready, timeout, self._runtime)

    async def maintain(self) -> None:
        """Do one round of maintenance now, as `Pool.maintain`. A timer of the loop does such rounds."""
        await maintain(self._core.engine, self._runtime)

    async def close(self, timeout: float | None = 0.0) -> None:
        """Hand out nothing more, and close the objects, as `Pool.close`."""
        await self._core.engine.close(timeout, self._runtime)

    async def __aenter__(self) -> Self:
        """Create `min_size` objects. The end of the block closes the pool, and so does a failure to create them."""
        try:
            await self.wait()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def share(core: PoolCore) -> AsyncPool[Any]:
    """Return an `AsyncPool` of the objects of a pool for threads."""
    shared: AsyncPool[Any] = AsyncPool.__new__(AsyncPool)  # pyright: ignore[reportUnknownVariableType]
    shared._attach(core)
    engine = core.engine
    shared._attach_runtime(ExecutorRuntime(lambda: engine.background))
    return shared
