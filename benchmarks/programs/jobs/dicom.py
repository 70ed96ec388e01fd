"""Radiology: CT and MR series, windowed, made isotropic with SimpleITK and SciPy, projected (pydicom's own slices)."""

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813 - its users call it so
from scipy import ndimage

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
#: One slice stands for a series of as many: the archive has patients of different sizes.
SERIES = (("CT_small.dcm", 64), ("MR_small.dcm", 64), ("examples_overlay.dcm", 24), ("CT_small.dcm", 96))
WINDOWS = ((40, 400), (300, 1500))
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def read_volume(name, slices):
    datasets = [pydicom.dcmread(DATA / name) for _ in range(slices)]
    volume = np.stack([dataset.pixel_array for dataset in datasets]).astype(np.float32)
    head = datasets[0]
    return volume * float(head.get("RescaleSlope", 1)) + float(head.get("RescaleIntercept", 0))


def resample(volume, factor):
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing((1, 1, factor))
    depth, height, width = volume.shape
    size = [width, height, depth * factor]
    fine = sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), (1, 1, 1))
    return sitk.GetArrayFromImage(fine)


def work():
    results = []
    for name, slices in SERIES:
        volume = read_volume(name, slices)
        for centre, width in WINDOWS:
            view = np.clip((volume - (centre - width / 2)) / width, 0, 1)
            isotropic = resample(view, 4)
            smooth = ndimage.gaussian_filter(ndimage.zoom(view, (4, 1, 1), order=1), 1.0)
            edges = np.sqrt(sum(part * part for part in np.gradient(smooth)))
            results += [isotropic.max(axis=0), edges.max(axis=0), smooth.mean(axis=1)]
    return results
