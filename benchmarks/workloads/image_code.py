"""Nine pieces of image code with NumPy, SciPy and scikit-image, written without a pool in mind.

Each entry of `PIECES` takes a frame's height and width and returns a function and its arguments. SciPy and scikit-image
are imported inside, so that only processes that need them pay for the import.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

Prepared = tuple[Callable[..., Any], tuple[Any, ...]]

#: A frame is height x width x 3 float32.
BYTES_PER_PIXEL = 12

#: A 4K frame, in bytes.
FRAME_4K = 2160 * 3840 * BYTES_PER_PIXEL

#: What the pieces import; the extra `bench` has both.
NEEDS = ("scipy", "skimage")


def frame(height: int, width: int) -> np.ndarray:
    """A made-up picture in [0, 1]: smooth gradients, an edge every 240 columns, sensor noise."""
    rng = np.random.default_rng(42)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    tint = np.array([0.9, 0.6, 0.3], np.float32)
    picture = 0.7 * (x * tint + y * tint[::-1]) / 2
    picture += 0.2 * (np.arange(width) // 240 % 2)[None, :, None].astype(np.float32)
    picture += 0.1 * rng.random((height, width, 3), dtype=np.float32)
    return picture


def gray(height: int, width: int) -> np.ndarray:
    """The green channel of `frame`, contiguous."""
    return np.ascontiguousarray(frame(height, width)[..., 1])


def _tone_curve(height: int, width: int) -> Prepared:
    def smoothstep(picture: np.ndarray) -> Any:
        t = np.clip((picture - 0.05) / 0.9, 0, 1)
        return (t * t * (3 - 2 * t) * 255 + 0.5).astype(np.uint8)

    return smoothstep, (frame(height, width),)


def _adjust_gamma(height: int, width: int) -> Prepared:
    from skimage.exposure import adjust_gamma

    return adjust_gamma, (frame(height, width), 2.2)


def _rgb2hsv(height: int, width: int) -> Prepared:
    from skimage.color import rgb2hsv

    return rgb2hsv, (frame(height, width),)


def _background_mask(height: int, width: int) -> Prepared:
    def mask(picture: np.ndarray, background: np.ndarray) -> Any:
        return (np.abs(picture - background) > 0.05) & (picture > 0.1)

    picture = frame(height, width)
    return mask, (picture, np.roll(picture, 40, axis=1))


def _rgb2lab(height: int, width: int) -> Prepared:
    from skimage.color import rgb2lab

    return rgb2lab, (frame(height, width),)


def _denoise(height: int, width: int) -> Prepared:
    from skimage.restoration import denoise_tv_chambolle

    # Three steps instead of two hundred: all steps are alike, and three take a second on a 4K frame.
    denoise = partial(denoise_tv_chambolle, eps=0, max_num_iter=3)
    return denoise, (gray(height, width),)


def _pipeline(height: int, width: int) -> Prepared:
    from scipy import ndimage

    def pipeline(picture: np.ndarray) -> Any:
        luma = 0.2126 * picture[..., 0] + 0.7152 * picture[..., 1] + 0.0722 * picture[..., 2]
        sharp = luma + 0.8 * (luma - ndimage.gaussian_filter(luma, 1.5))
        edges = np.hypot(ndimage.sobel(sharp, 0), ndimage.sobel(sharp, 1))
        return np.clip(sharp + 0.1 * edges, 0, 1) ** 0.4545

    return pipeline, (frame(height, width),)


def _sobel(height: int, width: int) -> Prepared:
    from skimage.filters import sobel

    return sobel, (gray(height, width),)


def _unsharp_mask(height: int, width: int) -> Prepared:
    from skimage.filters import unsharp_mask

    return unsharp_mask, (gray(height, width),)


PIECES: dict[str, Callable[[int, int], Prepared]] = {
    "tone curve": _tone_curve,
    "adjust_gamma": _adjust_gamma,
    "rgb2hsv": _rgb2hsv,
    "background mask": _background_mask,
    "rgb2lab": _rgb2lab,
    "denoise_tv": _denoise,
    "luma to power": _pipeline,
    "sobel": _sobel,
    "unsharp_mask": _unsharp_mask,
}
