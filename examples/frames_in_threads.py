"""A frame pipeline over three threads: one decodes, two work, and frames pass through queues.

Frames are made in one thread and dropped in another, and their temporaries are NumPy's own. Nothing in the pipeline
mentions the pool; `main` installs it. Try it with and without: ``python frames_in_threads.py --plain``.
"""

from __future__ import annotations

import argparse
import queue
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

import bufpool

Frame = NDArray[np.float32]
Frames = queue.Queue[Frame | None]  # None: the end
Stage = Callable[..., None]


def decode(count: int, height: int, width: int) -> Iterator[Frame]:
    """Stands for a video decoder: a moving gradient."""
    ramp = np.linspace(0, 1, width, dtype="f4")
    for i in range(count):
        yield np.tile(np.roll(ramp, i), (height, 1))


def blur(frame: Frame) -> Frame:
    return (np.roll(frame, 1, 1) + frame * 2 + np.roll(frame, -1, 1)) / np.float32(4)


def sharpen(frame: Frame) -> Frame:
    sharp: Frame = np.clip(frame * 2 - blur(frame), 0, 1)
    return sharp


def stage(work: Callable[[Frame], Frame], source: Frames, sink: Frames) -> None:
    """Work until the end mark, and pass it on."""
    while (frame := source.get()) is not None:
        sink.put(work(frame))
    sink.put(None)


def run(count: int, height: int, width: int, carry: Callable[[Stage], Stage]) -> tuple[float, float]:
    """Frames a second, and a checksum. `carry` makes a function run under the allocator of choice."""
    raw, blurred, done = (Frames(maxsize=4) for _ in range(3))

    def produce() -> None:
        for frame in decode(count, height, width):
            raw.put(frame)
        raw.put(None)

    threads = [
        threading.Thread(target=carry(produce)),
        threading.Thread(target=carry(stage), args=(blur, raw, blurred)),
        threading.Thread(target=carry(stage), args=(sharpen, blurred, done)),
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    total = 0.0
    while (frame := done.get()) is not None:
        total += float(frame.sum(dtype="f8"))
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - began), total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=(1080, 1920), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--plain", action="store_true", help="with NumPy's own allocator")
    args = parser.parse_args()
    height, width = args.size

    if args.plain:
        speed, total = run(args.frames, height, width, carry=lambda function: function)
        print(f"plain:  {speed:.1f} frames/s, checksum {total:.6f}")
        return
    pool = bufpool.BufferPool(name="frames")
    speed, total = run(args.frames, height, width, carry=pool)
    stats = pool.stats()
    print(f"pooled: {speed:.1f} frames/s, checksum {total:.6f}")
    print(f"{stats.hits} of {stats.hits + stats.misses} arrays on recycled memory")


if __name__ == "__main__":
    main()
