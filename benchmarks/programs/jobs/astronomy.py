"""Astronomy with photutils: sources of the Hubble deep field found and measured in mosaics of several sizes."""

import numpy as np
from astropy.convolution import convolve_fft
from astropy.stats import SigmaClip
from photutils.aperture import CircularAperture, aperture_photometry
from photutils.background import Background2D, MedianBackground
from photutils.segmentation import SourceCatalog, detect_sources, make_2dgaussian_kernel
from skimage import data

MOSAICS = ((1, 1), (2, 1), (2, 2))


def measure(image):
    background = Background2D(
        image, (64, 64), filter_size=(3, 3), sigma_clip=SigmaClip(3.0), bkg_estimator=MedianBackground()
    )
    clean = image - background.background
    smooth = convolve_fft(clean, make_2dgaussian_kernel(3.0, size=5))
    segments = detect_sources(smooth, 2.0 * background.background_rms, n_pixels=12)
    sources = SourceCatalog(clean, segments, convolved_data=smooth)
    centres = np.column_stack([sources.x_centroid, sources.y_centroid])
    bright = np.argsort(sources.segment_flux)[::-1][:300]
    photometry = aperture_photometry(clean, [CircularAperture(centres[bright], radius) for radius in (3, 5, 8)])
    return [sources.segment_flux, sources.area.value, centres, photometry["aperture_sum_1"].value, smooth.max(axis=0)]


def work():
    field = data.hubble_deep_field().astype(np.float64).mean(axis=2)
    results = []
    for rows, columns in MOSAICS:
        noise = np.random.default_rng(rows * columns).normal(0, 2, (field.shape[0] * rows, field.shape[1] * columns))
        results += measure(np.tile(field, (rows, columns)) + noise)
    return results
