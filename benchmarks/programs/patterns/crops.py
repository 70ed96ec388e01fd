"""Detections in frames: crops of varying size through an expression of several temporaries."""

import numpy as np


def work():
    rng = np.random.default_rng(0)
    frame = rng.random((2160, 3840), np.float32)
    results = []
    for _ in range(120):
        height, width = rng.integers(100, 2160), rng.integers(100, 3840)
        top, left = rng.integers(0, 2161 - height), rng.integers(0, 3841 - width)
        crop = frame[top : top + height, left : left + width]
        contrast = np.sqrt(crop * crop + 0.25 * crop) + (crop - crop.mean()) * crop
        results.append(contrast.max())
        yield
    return results
