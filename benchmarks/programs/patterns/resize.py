"""A recording that grows in place: an array resized by 1 MiB at a time."""

import numpy as np

MIB = 1 << 20


def work(mebibytes):
    recording = np.ones(MIB, np.uint8)
    for size in range(2, int(mebibytes) + 1):
        recording.resize(size * MIB, refcheck=False)
        recording[-MIB:] = size % 251
        yield
    return [recording[::4096].copy()]
