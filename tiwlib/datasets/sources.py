"""The named data sets: where each comes from, under which licence, and how its images and groups are read."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiwlib.datasets.images import ImageData


@dataclass(frozen=True)
class Source:
    title: str
    licence: str
    download_bytes: int
    group_sizes: tuple[int, ...] | None
    read: Callable


def _digits(name: str, root: Path) -> ImageData:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, which come with the package."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.argsort(digits.target, kind="stable")
    images = np.rint(digits.images[order] * (255 / 16)).astype(np.uint8)[:, None]
    groups = digits.target[order].astype(np.int64)
    sha256 = hashlib.sha256(images.tobytes() + groups.astype("<i8").tobytes()).hexdigest()
    return ImageData(name, images, groups, tuple(map(str, range(10))), sha256)


SOURCES = {
    "digits": Source(
        "scikit-learn digits (UCI optical recognition of handwritten digits)",
        "CC BY 4.0",
        0,
        (178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
        _digits,
    ),
}


def load(name: str, root: str | Path = "data") -> ImageData:
    """The images of a named source."""
    if name not in SOURCES:
        raise ValueError(f"name: {name!r}; allowed are {', '.join(SOURCES)}")
    return SOURCES[name].read(name, Path(root))
