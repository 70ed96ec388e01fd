"""A table that grows by copies: an array joined with another MiB at a time, up to 160 MiB."""

import numpy as np

MIB = 1 << 20


def work():
    table = np.ones(MIB, np.uint8)
    for size in range(2, 161):
        table = np.concatenate([table, np.full(MIB, size, np.uint8)])
        yield
    return [table[::4096].copy()]
