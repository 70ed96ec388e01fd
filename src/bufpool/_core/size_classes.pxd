# Contract: which block size serves a request.
from libc.stdint cimport uint32_t

cdef extern from "bufpool/_core/size_classes.hpp" namespace "bufpool" nogil:
    const size_t kGranule          # 64 bytes: the smallest block and alignment
    const size_t kMaxBlock         # 64 TiB: the largest block
    const uint32_t kClassCount

    uint32_t class_of(size_t nbytes) noexcept          # 0 < nbytes <= kMaxBlock
    size_t class_size(uint32_t class_index) noexcept   # bytes of a block
