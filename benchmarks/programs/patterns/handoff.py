"""Frames from thread to thread: one captures, one filters, one measures; cameras of four sizes take turns."""

from queue import Queue
from threading import Thread

import numpy as np

CAMERAS = ((1080, 1920), (2160, 3840), (720, 1280), (1536, 2048))
FRAMES, WAITING = 160, 3


def capture(frames):
    for number in range(FRAMES):
        frames.put(np.full((*CAMERAS[number // 10 % 4], 3), number % 251, np.uint8))
    frames.put(None)


def stretch(frames, stretched):
    while (frame := frames.get()) is not None:
        stretched.put(frame[::2, ::2].astype(np.float32) * np.float32(1.5) - frame[0, 0, 0])
    stretched.put(None)


def work():
    frames, stretched = Queue(WAITING), Queue(WAITING)
    threads = [Thread(target=capture, args=(frames,)), Thread(target=stretch, args=(frames, stretched))]
    for thread in threads:
        thread.start()
    results = []
    while (frame := stretched.get()) is not None:
        results.append(np.abs(frame).mean())
        del frame
        yield
    for thread in threads:
        thread.join()
    return results
