"""Names that annotations share. Type checkers read this; the package itself imports it never.

As in NumPy's own stubs no dtype means float64, and a scalar type or a dtype tells the array's type. Beyond them, so do
the strings below; other strings and Python's own types do not (for a type checker an int is a float, too).
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

Bool: TypeAlias = Literal["?", "bool"]
I1: TypeAlias = Literal["i1", "int8"]
I2: TypeAlias = Literal["i2", "<i2", ">i2", "int16"]
I4: TypeAlias = Literal["i4", "<i4", ">i4", "int32"]
I8: TypeAlias = Literal["i8", "<i8", ">i8", "int64"]
U1: TypeAlias = Literal["u1", "uint8"]
U2: TypeAlias = Literal["u2", "<u2", ">u2", "uint16"]
U4: TypeAlias = Literal["u4", "<u4", ">u4", "uint32"]
U8: TypeAlias = Literal["u8", "<u8", ">u8", "uint64"]
F2: TypeAlias = Literal["f2", "<f2", ">f2", "float16"]
F4: TypeAlias = Literal["f4", "<f4", ">f4", "float32"]
F8: TypeAlias = Literal["f8", "<f8", ">f8", "float64"]
C8: TypeAlias = Literal["c8", "<c8", ">c8", "complex64"]
C16: TypeAlias = Literal["c16", "<c16", ">c16", "complex128"]
