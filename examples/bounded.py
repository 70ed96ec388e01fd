"""A bound on memory that makes producers wait instead of failing: back-pressure by the pool itself.

Several threads load tiles and one consumes them, slowly. There is no bound on the queue: the pool's `limit` holds the
loaders back. At the end nothing is consumed any more, and a request runs into `timeout`.
"""

from __future__ import annotations

import argparse
import queue
import threading
import time

import numpy as np
from numpy.typing import NDArray

import bufpool

Tile = NDArray[np.uint8]


def load(pool: bufpool.BufferPool, tiles: range, nbytes: int, sink: queue.SimpleQueue[Tile]) -> None:
    for number in tiles:
        tile = pool.empty(nbytes, np.uint8)  # waits here while memory is short
        tile.fill(number % 251)
        sink.put(tile)
        del tile  # or our name would keep the tile while we wait for the next


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=60)
    parser.add_argument("--tile-bytes", type=int, default=4 << 20)
    parser.add_argument("--limit-tiles", type=int, default=6, help="the limit, in tiles")
    args = parser.parse_args()

    nbytes = bufpool.good_size(args.tile_bytes)
    limit = args.limit_tiles * nbytes
    pool = bufpool.BufferPool(limit, timeout=30.0, name="tiles")
    sink: queue.SimpleQueue[Tile] = queue.SimpleQueue()
    loaders = [
        threading.Thread(target=load, args=(pool, range(start, args.tiles, 3), args.tile_bytes, sink))
        for start in range(3)
    ]
    for loader in loaders:
        loader.start()
    total = 0
    for _ in range(args.tiles):
        tile = sink.get()
        time.sleep(0.001)  # a slow consumer
        total += int(tile[0])
        del tile
    for loader in loaders:
        loader.join()
    assert total == sum(number % 251 for number in range(args.tiles))
    assert pool.stats().peak_bytes <= limit
    print(f"{args.tiles} tiles through {pool.stats().peak_bytes // nbytes} blocks, limit {args.limit_tiles}")

    impatient = bufpool.BufferPool(limit=nbytes, timeout=0.05, name="impatient")
    held = impatient.empty(nbytes, np.uint8)
    try:
        impatient.empty(nbytes, np.uint8)
    except bufpool.LimitTimeoutError as error:
        print(f"refused: {error}")
    del held


if __name__ == "__main__":
    main()
