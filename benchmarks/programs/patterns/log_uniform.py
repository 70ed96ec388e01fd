"""A cache of results of every size: 1 KiB to 64 MiB, log-uniform, at most 400 MiB alive, in one or more threads."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np

ALIVE, STEPS, AT_ONCE = 400 << 20, 1600, 4


class Cache:
    """Holds arrays up to a number of bytes and drops others at random."""

    def __init__(self, capacity, seed):
        self.capacity, self.random = capacity, random.Random(seed)
        self.arrays, self.alive = [], 0

    def add(self):
        size = int(2 ** self.random.uniform(10, 26))
        while self.arrays and self.alive + size > self.capacity:
            self.alive -= self.arrays.pop(self.random.randrange(len(self.arrays))).nbytes
        self.arrays.append(np.full(size, size % 251, np.uint8))
        self.alive += size

    def add_some(self):
        for _ in range(AT_ONCE):
            self.add()


def work(threads):
    caches = [Cache(ALIVE // int(threads), seed) for seed in range(int(threads))]
    if len(caches) == 1:
        for _ in range(STEPS):
            caches[0].add()
            yield
    else:
        with ThreadPoolExecutor(len(caches)) as executor:
            for _ in range(STEPS // len(caches) // AT_ONCE):
                list(executor.map(Cache.add_some, caches))
                yield
    return [np.array([array[-1] for array in cache.arrays]) for cache in caches]
