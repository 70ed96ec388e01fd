"""Video with PyAV: a clip panned over photographs is encoded, decoded, denoised, sharpened and encoded anew."""

import io
from itertools import pairwise

import av
import numpy as np
from scipy import ndimage
from skimage import data

WIDTH, HEIGHT, FRAMES = 1280, 720, 10


def pan(photograph):
    """A camera that moves over the photograph, which is repeated where it is smaller than a frame."""
    high, wide = photograph.shape[:2]
    scene = np.tile(photograph, (1 + 2 * HEIGHT // high, 1 + 2 * WIDTH // wide, 1))
    for step in range(FRAMES):
        yield np.ascontiguousarray(scene[step * 4 : step * 4 + HEIGHT, step * 8 : step * 8 + WIDTH])


def encode(frames):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.thread_count = WIDTH, HEIGHT, "yuv420p", 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def decode(clip):
    with av.open(io.BytesIO(clip)) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24").astype(np.float32) / 255


def grade(before, frame):
    calm = np.where(np.abs(frame - before) < 0.05, (frame + before) / 2, frame)
    soft = ndimage.uniform_filter(calm, (5, 5, 1))
    sharp = np.clip(calm + 0.6 * (calm - soft), 0, 1) ** np.float32(0.9)
    return (sharp * 255).astype(np.uint8)


def work():
    results = []
    for photograph in (data.astronaut(), data.coffee(), data.retina()):
        clip = encode(pan(photograph))
        graded = encode(grade(before, frame) for before, frame in pairwise(decode(clip)))
        results += [frame.mean(axis=0) for frame in decode(graded)]
    return results
