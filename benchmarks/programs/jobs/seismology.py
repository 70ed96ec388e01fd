"""Seismology with ObsPy: days of records detrended, filtered in bands, triggered (STA/LTA), with spectrograms."""

from pathlib import Path

import numpy as np
import obspy
from obspy.signal.trigger import recursive_sta_lta
from scipy import signal

RECORD = Path(obspy.__file__).parent / "io" / "mseed" / "tests" / "data" / "CH.BALST..LHE.D.2025.314"
SAMPLES = 3_000_000
BANDS = ((0.01, 0.05), (0.05, 0.2), (0.1, 0.4))  # in units of the sampling rate


def prepare(trace):
    """One of ObsPy's example records, repeated until it is as long as a month of work."""
    trace.data = np.tile(trace.data.astype(np.float64), max(1, SAMPLES // trace.stats.npts))
    trace.detrend("linear")
    trace.taper(0.01)
    return trace


def analyse(trace, low, high):
    rate = trace.stats.sampling_rate
    band = trace.copy().filter("bandpass", freqmin=low * rate, freqmax=high * rate, corners=4, zerophase=True)
    long_window = 60 if rate < 50 else 10
    trigger = recursive_sta_lta(band.data, int(5 * rate), int(long_window * rate))
    _, _, spectrogram = signal.spectrogram(band.data, rate, nperseg=1024, noverlap=512)
    return [trigger[::1000].copy(), np.log10(spectrogram.mean(axis=1) + 1e-30)]


def work():
    results = []
    for record in obspy.read(RECORD) + obspy.read():
        trace = prepare(record)
        for low, high in BANDS:
            results += analyse(trace, low, high)
        slow = trace.copy().decimate(4, no_filter=True)
        slow.integrate().differentiate()
        results.append(slow.data[::1000].copy())
    return results
