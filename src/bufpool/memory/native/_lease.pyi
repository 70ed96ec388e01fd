from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, final, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import TypeVar

from bufpool._typing import Align, Order, S, Shape, Typed
from bufpool.memory.native._arrays import ArrayPool

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

class LeaseMaker(ArrayPool):
    @overload
    def lease(
        self, shape: Shape, dtype: None = None, order: Order = "C", *, alignment: Align = None
    ) -> Lease[np.float64]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: Typed[S], order: Order = "C", *, alignment: Align = None
    ) -> Lease[S]: ...
    @overload
    def lease(
        self, shape: Shape, dtype: DTypeLike, order: Order = "C", *, alignment: Align = None
    ) -> Lease[Any]: ...
