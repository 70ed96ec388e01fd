"""Machine learning with scikit-learn: texture features of tiles in two joblib threads, patches, PCA and clusters."""

import numpy as np
from joblib import Parallel, delayed
from scipy.signal import fftconvolve
from skimage.filters import gabor_kernel
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_sample_images
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ANGLES = np.linspace(0, 3, 6)


def texture(image, angle):
    kernel = gabor_kernel(0.2, angle).astype(np.complex64)
    response = np.abs(fftconvolve(image, kernel, mode="same"))
    return (response - response.mean()) / response.std()


def work():
    images = [image.astype(np.float32).mean(axis=2) / 255 for image in load_sample_images().images]
    tasks = [delayed(texture)(image, angle) for image in images * 20 for angle in ANGLES]
    maps = Parallel(2, backend="threading")(tasks)
    pixels = np.stack(maps[: len(ANGLES)], axis=-1).reshape(-1, len(ANGLES))
    patches = [extract_patches_2d(image, (8, 8), max_patches=100_000, random_state=0) for image in images]
    patches = np.concatenate([each.reshape(-1, 64) for each in patches])
    pca = PCA(20, random_state=0, svd_solver="covariance_eigh")
    components = make_pipeline(StandardScaler(), pca).fit_transform(patches)
    words = MiniBatchKMeans(16, random_state=0, n_init=1, max_iter=20).fit(components)
    segments = MiniBatchKMeans(6, random_state=0, n_init=1, max_iter=10).fit_predict(pixels)
    return [maps[3], components[::100], words.cluster_centers_, segments]
