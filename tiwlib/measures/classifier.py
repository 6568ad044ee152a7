"""Classifiers of groups: they name the group of a sample, and their features can carry a Frechet distance.

`python -m tiwlib.measures.classifier cifar10-lt-5 --root data` fits one and prints its accuracy and time.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
from tqdm.auto import tqdm

from tiwlib import devices
from tiwlib.batches import sent
from tiwlib.data import ImageData, batch, bias
from tiwlib.measures.intervals import share_interval
from tiwlib.runs import cache


class Classifier(nn.Module):
    """Convolutions, then 64 features, then a logit for each group. Input: (B, C, H, W) in [-1, 1]."""

    EPOCHS, EPOCHS_OF_MANY, BATCH_SIZE, SMOOTHING, AUGMENT = 20, 3, 64, 0.0, False

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
            nn.Linear(2 * width * 16, 2 * width),
            nn.ReLU(),
        )
        self.logits = nn.Linear(2 * width, n_groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.features(x))  # (B, G)

    def optimiser(self, epochs: int, steps: int):
        """The optimiser, and a schedule that moves after every epoch of `steps` steps."""
        optimiser = torch.optim.AdamW(self.parameters(), lr=2e-3, weight_decay=1e-2)
        return optimiser, CosineAnnealingLR(optimiser, epochs), steps


def convolution(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class ResNet(nn.Module):
    """For natural images: 512 features, 6.6 M parameters. Input: (B, 3, H, W) in [-1, 1], H and W at least 32.

    The shape is that of the fast CIFAR-10 networks of DAWNBench (D. Page, "How to train your ResNet", 2018), nine
    layers deep.
    """

    EPOCHS_OF_MANY, BATCH_SIZE, SMOOTHING, AUGMENT = 24, 256, 0.1, True

    def __init__(self, channels: int, n_groups: int, width: int = 64):
        super().__init__()
        self.features = nn.Sequential(
            convolution(channels, width),
            convolution(width, 2 * width),
            nn.MaxPool2d(2),
            Residual(convolution(2 * width, 2 * width), convolution(2 * width, 2 * width)),
            convolution(2 * width, 4 * width),
            nn.MaxPool2d(2),
            convolution(4 * width, 8 * width),
            nn.MaxPool2d(2),
            Residual(convolution(8 * width, 8 * width), convolution(8 * width, 8 * width)),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.logits = nn.Linear(8 * width, n_groups)

    def forward(self, x: Tensor) -> Tensor:
        return (
            self.logits(self.features(x)) / 8
        )  # (B, G); features of ReLUs are large, a softmax wants small logits

    def optimiser(self, epochs: int, steps: int):
        """The optimiser, and a schedule that moves after every step: up to the highest rate, then down to zero."""
        optimiser = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
        return optimiser, OneCycleLR(optimiser, 0.2, epochs * steps, pct_start=0.2), 1


NETWORKS = {"Classifier": Classifier, "ResNet": ResNet}
MANY = 10_000  # images, where a residual network learns more than it memorises, and few passes are enough


def epochs_for(network: nn.Module, n: int) -> int:
    """Passes over n training images: many images need fewer."""
    return network.EPOCHS if n < MANY else network.EPOCHS_OF_MANY


def network_for(data: ImageData) -> str:
    """Which network a data set takes: the residual one for many colour images of at least 32 x 32."""
    n, channels, *size = data.images.shape
    return "ResNet" if n >= MANY and channels == 3 and min(size) >= 32 else "Classifier"


def moved(x: Tensor, reach: int = 4) -> Tensor:
    """Images (B, C, H, W), each shifted by up to `reach` pixels, edges reflected, and half of them mirrored."""
    n, channels, height, width = x.shape
    padded = nn.functional.pad(x, (reach,) * 4, "reflect")
    down, right = sent(torch.randint(0, 2 * reach + 1, (2, n, 1)), x.device)
    mirrored = sent(torch.rand(n, 1) < 0.5, x.device)
    rows = down + torch.arange(height, device=x.device)  # (B, H)
    columns = right + torch.arange(width, device=x.device)  # (B, W)
    columns = torch.where(mirrored, columns.flip(1), columns)
    image, channel = torch.arange(n, device=x.device), torch.arange(channels, device=x.device)
    return padded[
        image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None]
    ]


def half_precision(device: torch.device) -> bool:
    """Whether the device itself computes in bfloat16: CUDA, and newer CPUs."""
    return device.type == "cuda" or (device.type == "cpu" and torch.cpu._is_avx512_bf16_supported())


@torch.no_grad()
def predict(classifier: nn.Module, images: np.ndarray, batch_size: int = 512) -> np.ndarray:
    """The group of each image, on the classifier's device: uint8 (N, C, H, W) -> int64 (N,)."""
    chunks = [np.arange(i, min(i + batch_size, len(images))) for i in range(0, len(images), batch_size)]
    device = next(classifier.parameters()).device
    return np.concatenate([classifier(batch(images, c).to(device)).argmax(1).cpu().numpy() for c in chunks])


def split(n: int, holdout: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of range(n) that `fit` trains on, and those that it holds out."""
    order = np.random.default_rng(seed).permutation(n)
    held, train = np.split(order, [round(holdout * n)])
    return train, held


def fit(
    data: ImageData, *, epochs: int | None = None, holdout: float = 0.2, seed: int = 0, device="cpu"
) -> tuple[nn.Module, float]:
    """Train on the full data, all groups; returns the classifier and its accuracy on the held-out share.

    epochs: passes over the images that are not held out; None is the network's own number.
    """
    if data.groups is None:
        raise ValueError(f"data={data.name}: has no groups to classify")
    device = torch.device(device)
    train, held = split(len(data.images), holdout, seed)
    groups = torch.from_numpy(data.groups)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = NETWORKS[network_for(data)](data.images.shape[1], len(data.group_names))
        natural, epochs = classifier.AUGMENT, epochs or epochs_for(classifier, len(data.images))
        classifier.to(device, memory_format=torch.channels_last if natural else torch.preserve_format)
        steps = -(-len(train) // classifier.BATCH_SIZE)
        optimiser, schedule, every = classifier.optimiser(epochs, steps)
        for step in tqdm(range(epochs * steps), desc="classifier", unit="step", leave=False):
            if step % steps == 0:
                shuffled = train[torch.randperm(len(train)).numpy()]
            start = step % steps * classifier.BATCH_SIZE
            rows = np.sort(shuffled[start : start + classifier.BATCH_SIZE])
            x0 = sent(batch(data.images, rows), device)
            x0 = moved(x0) if natural else x0
            with torch.autocast(device.type, torch.bfloat16, enabled=natural and half_precision(device)):
                loss = nn.functional.cross_entropy(
                    classifier(x0), sent(groups[rows], device), label_smoothing=classifier.SMOOTHING
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if (step + 1) % every == 0:
                schedule.step()
    classifier.requires_grad_(False).eval()
    held = np.sort(held)
    return classifier, float((predict(classifier, data.images[held]) == data.groups[held]).mean())


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A classifier from the cache. accuracy: on the held-out images. sha256: of its weights."""

    network: nn.Module
    accuracy: float
    sha256: str
    new: bool


def fit_once(data: ImageData, *, seed: int = 0, device="cpu", folder: Path | None = None) -> Fitted:
    """The classifier of a data set, fitted once for its images and seed; see `cache.once`."""

    def fit_it() -> tuple[dict[str, Tensor], dict]:
        classifier, accuracy = fit(data, seed=seed, device=device)
        return classifier.state_dict(), {
            "network": network_for(data),
            "channels": data.images.shape[1],
            "n_groups": len(data.group_names),
            "accuracy": accuracy,
        }

    cached = cache.once("classifier", {"images": data.sha256, "seed": seed}, fit_it, folder)
    network = NETWORKS[cached.info["network"]](cached.info["channels"], cached.info["n_groups"])
    network.load_state_dict(cached.tensors)
    return Fitted(
        network=network.to(device).requires_grad_(False).eval(),
        accuracy=cached.info["accuracy"],
        sha256=cached.sha256,
        new=cached.new,
    )


def main(arguments: list[str] | None = None) -> float:
    """Fit the classifier of a setting's images, print its accuracy with an interval and its time; returns the first."""
    parser = argparse.ArgumentParser(
        "python -m tiwlib.measures.classifier", description="How good is the classifier?"
    )
    parser.add_argument("setting", help="a name from `python -m tiwlib.data list`")
    parser.add_argument("--root", default="data", help="where the data are (default: data)")
    parser.add_argument("--source", help="folder or zip of the images, instead of a download")
    parser.add_argument("--epochs", type=int, help="passes over the images (default: the network's own)")
    options = parser.parse_args(arguments)
    data = bias.load(options.setting, options.root, source=options.source).data
    device = devices.accelerator().device
    began = time.perf_counter()
    classifier, accuracy = fit(data, epochs=options.epochs, device=device)
    seconds = time.perf_counter() - began
    held = len(split(len(data.images))[1])
    _, low, high = share_interval(round(accuracy * held), held)
    seen = (options.epochs or epochs_for(classifier, len(data.images))) * (len(data.images) - held)
    print(f"{data.name}: {type(classifier).__name__} on {device}, {seen:,} images in {seconds:.0f} s")
    print(f"accuracy {accuracy:.4f} (95 %: {low:.4f} to {high:.4f}) on {held:,} images that it never saw")
    return accuracy


if __name__ == "__main__":
    main()
