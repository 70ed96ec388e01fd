"""A cache fed by jobs: fourteen jobs make small arrays, each of its own size, and one array in 400 survives."""

import numpy as np

JOB = 64 << 20


def work():
    survivors = []
    for size in range(2000, 30_000, 2000):
        arrays = [np.full(size, size % 251, np.uint8) for _ in range(JOB // size)]
        yield
        survivors += arrays[::400]
        del arrays
        yield
    return [np.array([array[-1] for array in survivors])]
