"""Satellite tiles with rasterio: two threads read windows of a scene, correct, classify and resample them."""

from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window
from scipy import ndimage
from skimage import data

TILES = (512, 768, 1024)


def write_scene(path):
    """Mosaic of photographs, in place of a scene with three bands."""
    scene = np.tile(data.retina(), (3, 3, 1)).transpose(2, 0, 1).astype(np.uint16) * 40
    bands, height, width = scene.shape
    place = from_origin(500_000, 5_000_000, 10, 10)
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "zlevel": 1}
    kind = {"driver": "GTiff", "count": bands, "dtype": scene.dtype, "crs": "EPSG:32632", "transform": place}
    with rasterio.open(path, "w", height=height, width=width, **kind, **layout) as file:
        file.write(scene)
    return height, width


def windows(height, width, size):
    for row in range(0, height, size):
        for column in range(0, width, size):
            yield Window(column, row, min(size, width - column), min(size, height - row))


def process(path, window):
    with rasterio.open(path) as file:
        bands = file.read(window=window).astype(np.float32) / 10_000
    bands = (bands - 0.02) / 0.9
    red, green, blue = bands
    vegetation = (green - red) / (green + red + 1e-6)
    water = (blue - green) / (blue + green + 1e-6)
    smooth = ndimage.uniform_filter(vegetation, 5)
    texture = np.sqrt(np.maximum(ndimage.uniform_filter(vegetation * vegetation, 5) - smooth * smooth, 0))
    kinds = np.select([water > 0.1, smooth > 0.2, texture > 0.05], [1, 2, 3], 0).astype(np.uint8)
    half = ndimage.zoom(smooth, 0.5, order=1)
    return np.concatenate([np.bincount(kinds.ravel(), minlength=4), np.percentile(half, [5, 50, 95])])


def work():
    with TemporaryDirectory() as folder:
        path = f"{folder}/scene.tif"
        height, width = write_scene(path)
        with ThreadPoolExecutor(2) as threads:
            return [
                np.array(list(threads.map(lambda window: process(path, window), windows(height, width, size))))
                for size in TILES
            ]
