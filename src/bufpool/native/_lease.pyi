from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, final

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import TypeVar

from bufpool._typing import Align, Order, Shape
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

# The caller knows the dtype: `Lender.lease` has the overloads.
def make_lease(
    pool: ArrayPool,
    shape: Shape,
    dtype: DTypeLike | None = None,
    order: Order = "C",
    alignment: Align = None,
) -> Lease[Any]: ...
