"""Sizes and alignments of blocks, checked."""

import operator

from bufpool._core.os_memory cimport kHugePage
from bufpool._core.size_classes cimport class_of, class_size, kGranule, kMaxBlock

from bufpool._words import amount
from bufpool.errors import AlignmentError, SizeError


cdef size_t checked_alignment(object alignment, str pool) except 0:
    """Bytes, at least a cache line. Raises `AlignmentError`, or `TypeError` if it is no integer."""
    cdef object value = operator.index(alignment)
    if value <= 0 or value > kHugePage or value & (value - 1):
        raise AlignmentError(
            f"pool {pool!r}: alignment must be a power of two from 1 byte to {amount(kHugePage)}, not {value}"
        )
    return max(<size_t>value, kGranule)


def good_size(nbytes):
    """Return the size of the block that serves a request of `nbytes`.

    There are eight block sizes to each doubling, as in jemalloc. So a request above 455 bytes grows by at most 12.5 %.

    Parameters
    ----------
    nbytes : int
        Requested bytes, from 0 to 64 TiB.

    Returns
    -------
    int
        Size of the block in bytes, a multiple of 64.

    Raises
    ------
    SizeError
        `nbytes` is negative or above 64 TiB.

    Examples
    --------
    >>> import bufpool
    >>> bufpool.good_size(1_000_000)
    1048576
    """
    cdef object value = operator.index(nbytes)
    if value < 0 or value > kMaxBlock:
        raise SizeError(f"nbytes must be from 0 to {amount(kMaxBlock)}, not {value}")
    return class_size(class_of(<size_t>value or 1))
