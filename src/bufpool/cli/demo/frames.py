"""The demo's frames: real photographs, scaled up, and a decoder that makes each frame anew.

The photographs are those that scikit-learn ships inside its package. Nothing is downloaded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]  # (height, width, 3) in RGB, or (height, width); C-contiguous

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
CREDIT = "china.jpg by danielbuechele (every other frame: flower.jpg by vultilion), CC BY 2.0, from scikit-learn"


def load_photographs(width: int, height: int) -> Frame:
    """Return the photographs, cropped to the shape asked for and scaled to it."""
    # Imported here: a measured run needs `decode` alone, and should carry no other package in its peak RSS.
    from PIL import Image, ImageOps
    from sklearn.datasets import load_sample_image

    scaled = []
    for name in PHOTOGRAPHS:
        photograph = Image.fromarray(load_sample_image(name))
        # A little above the centre, where the roof's finial is still in the picture.
        fitted = ImageOps.fit(photograph, (width, height), Image.Resampling.LANCZOS, centering=(0.5, 0.25))
        scaled.append(np.array(fitted))
    return np.stack(scaled)


def decode(photographs: Frame, number: int) -> Frame:
    """Return frame `number` of a film of the photographs in turn, in new memory, as a video decoder would.

    The camera pans to the right by 1/480 of the width a frame, and the exposure flickers by up to 10 %. Frame 0 is the
    first photograph itself.
    """
    photograph: Frame = photographs[number % len(photographs)]
    step = max(1, photograph.shape[1] // 480)
    panned = np.roll(photograph, -step * number, axis=1)
    exposure = np.uint16(256 - 5 * number % 27)
    return (panned.astype(np.uint16) * exposure >> 8).astype(np.uint8)
