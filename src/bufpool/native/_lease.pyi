from collections.abc import Sequence
from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, SupportsIndex, final

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import TypeVar

from bufpool.native._arrays import ArrayPool

_S_co = TypeVar("_S_co", bound=np.generic, default=Any, covariant=True)

@final
class Lease(Generic[_S_co]):
    @property
    def pool(self) -> ArrayPool: ...
    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    def __enter__(self) -> NDArray[_S_co]: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...

# The caller knows the dtype: `BufferPool.lease` has the overloads.
def make_lease(
    pool: ArrayPool,
    shape: SupportsIndex | Sequence[SupportsIndex],
    dtype: DTypeLike | None = None,
    order: Literal["C", "F"] | None = "C",
    alignment: SupportsIndex | None = None,
) -> Lease[Any]: ...
