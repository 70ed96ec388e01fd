"""A server with bursts: 256 MiB of arrays of one size, then quiet requests, and the next burst has another size."""

import numpy as np

MIB = 1 << 20


def work():
    results = []
    for size in (1 * MIB, 24 * MIB, 3 * MIB, 60 * MIB, 640 << 10, 11 * MIB, 5 * MIB):
        burst = []
        while sum(array.nbytes for array in burst) < 256 * MIB:
            burst.append(np.full(size, len(burst) % 251, np.uint8))
            yield
        results.append(sum(int(array[-1]) for array in burst))
        burst.clear()
        for request in range(200):
            answer = np.sqrt(np.arange(request, request + 40_000, dtype=np.float64)) * 2
            results.append(answer.sum())
            yield
    return results
