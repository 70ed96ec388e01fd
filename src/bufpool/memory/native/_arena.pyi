from typing import Any, SupportsIndex

from typing_extensions import disjoint_base

PAGES: dict[str, int]
REFUSALS: tuple[str, ...]
DROP_REASONS: tuple[str, ...]

def total_memory() -> int: ...
def read_pools() -> list[dict[str, Any]]: ...

@disjoint_base
class PoolBase:
    @property
    def name(self) -> str: ...
    @property
    def timeout(self) -> float | None: ...
    @property
    def closed(self) -> bool:
        """Whether the pool is closed."""
    @property
    def _shared(self) -> bool: ...
    @property
    def _waiting(self) -> int: ...
    @property
    def limit(self) -> int | None:
        """Maximum bytes the pool may hold, in use plus idle; None: no limit."""
    @property
    def max_retained(self) -> int | None:
        """Maximum bytes the pool keeps idle; None: no bound."""
    @property
    def alignment(self) -> int:
        """Alignment of every block, in bytes."""
    def close(self) -> None:
        """Close the pool: it hands out nothing more, and returns idle memory to the system.

        Arrays and buffers in use stay valid; their memory goes to the system when they are released. Closing a closed
        pool does nothing.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.BufferPool()
        >>> a = pool.zeros(3)
        >>> pool.close()
        >>> a
        array([0., 0., 0.])
        """
    def _trim(self, keep: int) -> int: ...
    def _set_up(
        self,
        *,
        name: str,
        limit: int | None,
        max_retained: int | None,
        min_retained: int,
        max_idle_ns: int,
        alignment: SupportsIndex,
        pages: str,
        lock: bool,
        prefault: bool,
        wipe: bool,
        maintenance_thread: bool,
        timeout: float | None,
    ) -> None: ...
    def _read(self) -> dict[str, Any]: ...
    def _read_all(self) -> dict[str, Any]: ...
