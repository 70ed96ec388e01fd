"""Deep learning: torch's DataLoader with two forked workers that crop and augment photographs, and a small network."""

import numpy as np
import torch
from skimage import data, transform
from torch import nn
from torch.utils.data import DataLoader, Dataset

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry", "retina")
ITEMS, SIDE = 192, 288
torch.set_num_threads(1)


class Crops(Dataset):
    """Square crops at random places, rotated, normalised and sometimes mirrored."""

    def __init__(self):
        self.photographs = [getattr(data, name)() for name in PHOTOGRAPHS]

    def __len__(self):
        return ITEMS

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        photograph = self.photographs[index % len(self.photographs)]
        top, left = (int(rng.integers(0, length - SIDE)) for length in photograph.shape[:2])
        crop = photograph[top : top + SIDE, left : left + SIDE].astype(np.float32) / 255
        crop = transform.rotate(crop, rng.uniform(-15, 15), mode="reflect").astype(np.float32)
        crop = (crop - crop.mean(axis=(0, 1))) / (crop.std(axis=(0, 1)) + 1e-6)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))


def work():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(512, 4)
    )
    batches = DataLoader(Crops(), batch_size=16, num_workers=2, multiprocessing_context="fork")
    with torch.no_grad():
        return [network(batch).numpy() for batch in batches]
