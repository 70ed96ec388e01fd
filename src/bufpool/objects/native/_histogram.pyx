"""Counts and times that any thread may add to, without a lock: a finaliser may come in between."""

from libc.math cimport NAN
from libc.stdint cimport uint32_t, uint64_t

cimport cython

from bufpool._core.size_classes cimport class_of, class_size, kClassCount, kMaxBlock

cdef extern from "bufpool/_core/atomics.hpp" namespace "bufpool" nogil:
    cdef cppclass Atomic "bufpool::Atomic<std::uint64_t>":
        uint64_t load_relaxed() noexcept
        uint64_t add_relaxed(uint64_t) noexcept
        void raise_relaxed(uint64_t) noexcept


@cython.final
cdef class Count:
    """A count."""

    cdef Atomic number

    def add(self, uint64_t n=1):
        """Count so many more."""
        self.number.add_relaxed(n)

    @property
    def value(self):
        """So far."""
        return self.number.load_relaxed()


@cython.final
cdef class Times:
    """A histogram of times, eight steps to a doubling: a quantile is at most 12.5 % above the truth.

    The steps are those of the core's size classes, nanoseconds in the place of bytes. (A log-linear histogram, as
    HdrHistogram, Tene 2012.)

    Examples
    --------
    >>> from bufpool.objects.native._histogram import Times
    >>> times = Times()
    >>> for ms in range(1, 101):
    ...     times.add(ms / 1000)
    >>> times.count, round(times.mean, 4), times.greatest
    (100, 0.0505, 0.1)
    >>> 0.05 <= times.quantile(0.5) <= 0.05 * 1.125
    True
    """

    cdef Atomic counts[kClassCount]
    cdef Atomic total
    cdef Atomic most

    def add(self, double seconds):
        """Count a time."""
        cdef uint64_t ns = 1
        if seconds * 1e9 >= <double>kMaxBlock:
            ns = kMaxBlock
        elif seconds * 1e9 > 1:                # NaN is not
            ns = <uint64_t>(seconds * 1e9 + 0.5)
        self.counts[class_of(ns)].add_relaxed(1)
        self.total.add_relaxed(ns)
        self.most.raise_relaxed(ns)

    @property
    def count(self):
        """Times so far."""
        cdef uint64_t sum = 0
        cdef uint32_t i
        for i in range(kClassCount):
            sum += self.counts[i].load_relaxed()
        return sum

    @property
    def seconds(self):
        """Of all together."""
        return self.total.load_relaxed() / 1e9

    @property
    def mean(self):
        """Seconds; NaN before the first."""
        cdef uint64_t count = self.count
        return self.total.load_relaxed() / 1e9 / count if count else NAN

    @property
    def greatest(self):
        """Seconds; NaN before the first."""
        return self.most.load_relaxed() / 1e9 if self.count else NAN

    def quantile(self, double q):
        """Seconds within which that part of all, 0 to 1, was over; NaN before the first."""
        cdef uint64_t count = self.count, seen = 0
        cdef uint32_t i
        if count == 0:
            return NAN
        for i in range(kClassCount):
            seen += self.counts[i].load_relaxed()
            if seen >= q * count:
                return min(class_size(i), self.most.load_relaxed()) / 1e9
        return self.most.load_relaxed() / 1e9
