"""Neuroimaging with nilearn: the MNI templates that it ships, smoothed, resampled, masked and compared."""

from pathlib import Path

import nibabel
import nilearn
import numpy as np
from nilearn import image

DATA = Path(nilearn.__file__).parent / "datasets" / "data"
TISSUES = ("gm", "t1")
WIDTHS = (4, 8)  # of the smoothing kernel, in mm


def read(tissue):
    return nibabel.load(DATA / f"mni_icbm152_{tissue}_tal_nlin_sym_09a_converted.nii.gz")


def work():
    grey = read("gm")
    results = []
    for tissue in TISSUES:
        template = read(tissue)
        for width in WIDTHS:
            smooth = image.smooth_img(template, width)
            coarse = image.resample_img(smooth, np.eye(3) * (width / 2), force_resample=True, copy_header=True)
            values, mask = smooth.get_fdata(), grey.get_fdata() > 0.3 * grey.get_fdata().max()
            scaled = (values - values[mask].mean()) / values[mask].std()
            results += [coarse.get_fdata().mean(axis=0), np.where(mask, scaled, 0).max(axis=2)]
    return results
