"""The picture pipeline that the demo measures: plain NumPy and SciPy, which know nothing of bufpool.

It is written the way such code is usually written: every step returns a new array, no step takes ``out=``.
Each step is the quickest plain form that we know. The blur is SciPy's own filter; the Sobel operator is a sum of
slices, which on float32 frames takes about a third of the time of ``scipy.ndimage.sobel``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Frame = NDArray[np.uint8]
Plane = NDArray[np.float32]


def luma(frame: Frame) -> Plane:
    """Return the Rec. 709 luma of an RGB frame, from 0 to 1."""
    red, green, blue = (frame[..., channel].astype(np.float32) for channel in range(3))
    weighted: Plane = (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255
    return weighted


def blur(plane: Plane, sigma: float = 1.5) -> Plane:
    """Return the plane after a separable Gaussian blur: one pass along each axis."""
    down: Plane = gaussian_filter1d(plane, sigma, axis=0, mode="nearest", truncate=2.5)
    across: Plane = gaussian_filter1d(down, sigma, axis=1, mode="nearest", truncate=2.5)
    return across


def unsharp(plane: Plane, blurred: Plane, amount: float = 2.0) -> Plane:
    """Return the plane with its difference from the blurred one enlarged."""
    sharpened: Plane = plane + amount * (plane - blurred)
    return sharpened


def sobel(plane: Plane) -> Plane:
    """Return the magnitude of the Sobel gradient."""
    padded = np.pad(plane, 1, mode="edge")
    down = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    gradient_x = down[:, 2:] - down[:, :-2]
    across = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    gradient_y = across[2:] - across[:-2]
    magnitude: Plane = np.sqrt(gradient_x * gradient_x + gradient_y * gradient_y)
    return magnitude


def tone_curve(plane: Plane) -> Plane:
    """Return the plane clipped to 0..1, with its shadows lifted and then its contrast raised by a smoothstep."""
    lifted = np.sqrt(np.clip(plane, 0, 1))
    curved: Plane = lifted * lifted * (3 - 2 * lifted)
    return curved


def process(frame: Frame) -> Frame:
    """Turn a photograph into an ink drawing: toned, sharpened luma, darkened along the edges."""
    brightness = luma(frame)
    blurred = blur(brightness)
    toned = tone_curve(unsharp(brightness, blurred))
    ink = np.clip(1 - 2 * sobel(blurred), 0, 1)
    return (255 * toned * ink).astype(np.uint8)
