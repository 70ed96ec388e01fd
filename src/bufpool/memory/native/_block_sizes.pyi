from typing import SupportsIndex

def good_size(nbytes: SupportsIndex) -> int:
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
