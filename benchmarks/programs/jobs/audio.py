"""Audio: recordings of several lengths, made from pygame's sample, denoised by spectral gating with SciPy."""

from importlib.metadata import distribution

import numpy as np
from scipy import ndimage, signal
from scipy.io import wavfile

SAMPLE = distribution("pygame-ce").locate_file("pygame/examples/data/house_lo.wav")
MINUTES = (2, 7, 4, 10, 3)
FRAME = 1024


def record(minutes):
    """The sample repeated, with hiss, at four times its rate."""
    rate, sample = wavfile.read(SAMPLE)
    sound = signal.resample_poly(sample.astype(np.float32) / 128 - 1, 4, 1)
    rate *= 4
    sound = np.resize(sound, minutes * 60 * rate // 4)
    return rate, sound + 0.02 * np.random.default_rng(minutes).standard_normal(len(sound), dtype=np.float32)


def denoise(rate, sound):
    _, _, spectrum = signal.stft(sound, rate, nperseg=FRAME)
    level = 20 * np.log10(np.abs(spectrum) + 1e-6)
    floor = np.percentile(level[:, ::16], 20, axis=1, keepdims=True)
    gate = ndimage.uniform_filter((level > floor + 6).astype(np.float32), (5, 5))
    _, clean = signal.istft(spectrum * gate, rate, nperseg=FRAME)
    return clean[: len(sound)]


def work():
    results = []
    for minutes in MINUTES:
        rate, sound = record(minutes)
        clean = denoise(rate, sound)
        loudness = np.sqrt(ndimage.uniform_filter1d(clean * clean, rate // 4))
        results += [clean[::500].copy(), loudness[::500].copy()]
    return results
