"""Names that annotations share. Type checkers read this; the package itself never imports it.

As in NumPy's own stubs, no dtype means float64, a scalar type or a dtype gives the array's type, and anything else
that NumPy accepts as a dtype gives an array of `Any`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, SupportsIndex, TypeAlias, TypeVar

import numpy as np

S = TypeVar("S", bound=np.generic)

Typed: TypeAlias = type[S] | np.dtype[S]
Shape: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
ShapeOrNone: TypeAlias = Shape | None
Order: TypeAlias = Literal["C", "F"] | None
OrderLike: TypeAlias = Literal["K", "A", "C", "F"] | None
Align: TypeAlias = SupportsIndex | None
