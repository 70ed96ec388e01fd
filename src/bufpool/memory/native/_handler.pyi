from types import TracebackType
from typing import Literal, Self

from typing_extensions import disjoint_base

from bufpool.memory.native._arena import PoolBase

@disjoint_base
class AllocatorPool(PoolBase):
    _tune_malloc: bool
    @property
    def installed(self) -> bool:
        """Whether NumPy allocates from this pool in the current context."""
    def install(self) -> None:
        """Make NumPy allocate from this pool in the current context, until `uninstall`.

        Use it where a ``with`` block does not fit, such as in the ``initializer`` of an executor. The context is that
        of `contextvars`: the current task in asyncio, the current thread elsewhere. A new thread starts with NumPy's
        own allocator.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> pool = bufpool.BufferPool()
        >>> with ThreadPoolExecutor(2, initializer=pool.install) as workers:
        ...     total = workers.submit(lambda: np.ones(1000).sum()).result()
        >>> pool.stats().hits + pool.stats().misses > 0
        True
        """
    def uninstall(self) -> bool:
        """Undo the newest `install` of this pool in the current context.

        If a `MemoryError` of NumPy is being handled, this adds a note to it: which pool refused, and why.

        Returns
        -------
        bool
            False if the pool is not installed in this context; then nothing changes. This happens, for example, when a
            generator is closed in another context than the one it was started in.

        Raises
        ------
        MemoryError
            The interpreter has no memory for the change. Call `uninstall` again to complete it.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> pool = bufpool.BufferPool()
        >>> pool.install()
        >>> pool.uninstall(), pool.uninstall()
        (True, False)
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...
