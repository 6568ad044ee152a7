"""A small classifier of groups: it names the group of a sample, and its features carry the Frechet distance."""

import os
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from tiwlib.datasets import ImageData, batch


class Classifier(nn.Module):
    """Convolutions, then 64 features, then a logit for each group. Input: (B, C, H, W) in [-1, 1]."""

    FEATURES = 64

    def __init__(self, channels: int, n_groups: int, width: int = 32):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(2 * width * 16, self.FEATURES),
            nn.ReLU(),
        )
        self.logits = nn.Linear(self.FEATURES, n_groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.features(x))  # (B, G)


@torch.no_grad()
def predict(classifier: Classifier, images: np.ndarray, batch_size: int = 512) -> np.ndarray:
    """The group of each image: uint8 (N, C, H, W) -> int64 (N,)."""
    chunks = [np.arange(i, min(i + batch_size, len(images))) for i in range(0, len(images), batch_size)]
    device = next(classifier.parameters()).device
    return np.concatenate([classifier(batch(images, c).to(device)).argmax(1).cpu().numpy() for c in chunks])


def split(n: int, holdout: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of range(n) that `fit` trains on, and those that it holds out."""
    order = np.random.default_rng(seed).permutation(n)
    held, train = np.split(order, [round(holdout * n)])
    return train, held


def fit(
    data: ImageData, *, epochs: int = 20, holdout: float = 0.2, seed: int = 0
) -> tuple[Classifier, float]:
    """Train on the full data, all groups; returns the classifier and its accuracy on the held-out share."""
    if data.groups is None:
        raise ValueError(f"data={data.name}: has no groups to classify")
    train, held = split(len(data.images), holdout, seed)
    groups = torch.from_numpy(data.groups)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = Classifier(data.images.shape[1], len(data.group_names))
        optimiser = torch.optim.AdamW(classifier.parameters(), lr=2e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
        for _ in tqdm(range(epochs), desc="classifier", unit="epoch", leave=False):
            shuffled = train[torch.randperm(len(train)).numpy()]
            for start in range(0, len(shuffled), 64):
                rows = np.sort(shuffled[start : start + 64])
                loss = nn.functional.cross_entropy(classifier(batch(data.images, rows)), groups[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
    classifier.requires_grad_(False).eval()
    accuracy = (predict(classifier, data.images[np.sort(held)]) == data.groups[np.sort(held)]).mean()
    return classifier, float(accuracy)


def fit_once(data: ImageData, folder: Path, *, seed: int = 0) -> tuple[Path, Classifier, float]:
    """The classifier of a data set, kept at folder/<data>-<hash>.safetensors with its accuracy: fitted once."""
    path = Path(folder) / f"classifier-{data.name}-{data.sha256[:12]}-{seed}.safetensors"
    if not path.exists():
        classifier, accuracy = fit(data, seed=seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        sizes = {"channels": data.images.shape[1], "n_groups": len(data.group_names), "accuracy": accuracy}
        save_file(classifier.state_dict(), partial, {name: repr(value) for name, value in sizes.items()})
        partial.replace(path)
    return path, *load(path)


def load(path: Path) -> tuple[Classifier, float]:
    """The classifier kept at `path`, ready for use, and its held-out accuracy."""
    with safe_open(path, framework="pt") as file:
        sizes = file.metadata()
        classifier = Classifier(int(sizes["channels"]), int(sizes["n_groups"]))
        classifier.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return classifier.requires_grad_(False).eval(), float(sizes["accuracy"])
