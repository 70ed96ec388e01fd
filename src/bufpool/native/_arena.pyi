from typing import Any, SupportsIndex

from typing_extensions import disjoint_base

PAGES: dict[str, int]
DROP_REASONS: tuple[str, ...]

def good_size(nbytes: SupportsIndex) -> int: ...
def total_memory() -> int: ...

@disjoint_base
class PoolBase:
    @property
    def name(self) -> str: ...
    @property
    def timeout(self) -> float | None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def _shared(self) -> bool: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def max_retained(self) -> int | None: ...
    @property
    def alignment(self) -> int: ...
    def close(self) -> None: ...
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
        timeout: float | None,
    ) -> None: ...
    def _read(self) -> dict[str, Any]: ...
