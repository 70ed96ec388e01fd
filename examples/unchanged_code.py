"""Unchanged NumPy code, plain and under a pool: the same result, to the bit, and the processor time of both.

The code is a wave on a membrane, by finite differences in whole-array expressions. It was not written for a pool, and
makes about a dozen temporaries a step.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

import bufpool


def simulate(size: int, steps: int) -> NDArray[np.float64]:
    x = np.linspace(-1, 1, size)
    height = np.exp(-40 * (x[:, None] ** 2 + x[None, :] ** 2))
    before = height
    for _ in range(steps):
        neighbours = np.roll(height, 1, 0) + np.roll(height, -1, 0) + np.roll(height, 1, 1) + np.roll(height, -1, 1)
        height, before = 2 * height - before + 0.2 * (neighbours - 4 * height), height
    return height


def timed(size: int, steps: int) -> tuple[float, NDArray[np.float64]]:
    began = time.process_time()
    result = simulate(size, steps)
    return time.process_time() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()

    plain, expected = timed(args.size, args.steps)
    pool = bufpool.BufferPool(name="wave")
    with pool:
        pooled, result = timed(args.size, args.steps)
    assert np.array_equal(result, expected)
    assert pool.owns(result)
    stats = pool.stats()
    print(f"plain {plain:.3f} s, pooled {pooled:.3f} s of processor time, results identical")
    print(
        f"{stats.hits} of {stats.hits + stats.misses} arrays on recycled memory, {stats.peak_bytes >> 20} MiB at most"
    )


if __name__ == "__main__":
    main()
