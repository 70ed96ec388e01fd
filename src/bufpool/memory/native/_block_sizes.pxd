# Sizes and alignments of blocks, checked.

cdef size_t checked_alignment(object alignment, str pool) except 0
