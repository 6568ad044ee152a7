"""Data sets computed from named ones: smaller images, and grey images in one of two hues.

A hue is the latent attribute that FFHQ's gender is in the paper, but one that is read off the pixels. Each image has
one hue for ever: half of each class are drawn in the first, the others in the second, by a seeded order. So the
sizes of the groups, and with them every split, are known without an image.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from tiwlib.data.images import Coloured, ImageData
from tiwlib.data.store import Recipe, in_memory, seeded_order, stored

HUES = {"red": (1.0, 0.35, 0.1), "blue": (0.1, 0.6, 1.0)}  # times grey; told apart by the colour-blind, too
HUE_SEED = 2412
PIECE = 4096  # images computed at once


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A data set made from another.

    title        for people
    base         name of the data set it is made from
    base_sizes   images of each class of the base
    shape        (C, H, W) of an image
    pixels       from grey images (B, 1, H, W) and their hues (B,) to images (B, *shape), all uint8
    group_of     int (K, H), the group of each class and hue, where images are coloured
    group_names  of its groups; () where they are the base's classes
    """

    title: str
    base: str
    base_sizes: tuple[int, ...]
    shape: tuple[int, int, int]
    pixels: Callable[[np.ndarray, np.ndarray], np.ndarray]
    group_of: np.ndarray | None = None
    group_names: tuple[str, ...] = ()

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """Images of each group."""
        groups, _ = self.groups(np.repeat(np.arange(len(self.base_sizes)), self.base_sizes))
        return tuple(np.bincount(groups).tolist())

    def groups(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Group and hue of each image, from the classes of the base (N,): int64 (N,) both."""
        hues = hues_of(classes)
        return (classes if self.group_of is None else self.group_of[classes, hues]), hues

    def of(self, base: ImageData, name: str, root: Path) -> ImageData:
        """The data set made from the images of its base, stored below `root` unless they are in memory."""
        groups, hues = self.groups(base.groups)
        order = np.argsort(groups, kind="stable")
        pieces = (order[start : start + PIECE] for start in range(0, len(order), PIECE))
        recipe = Recipe(
            name + base.name.removeprefix(self.base),  # what the base says of where it is from
            len(order),
            (self.pixels(base.images[rows], hues[rows]) for rows in pieces),
            groups[order],
            self.group_names or base.group_names,
        )
        if isinstance(base.images, np.memmap):
            data = stored(Path(root, "arrays", f"{name}-{base.sha256[:16]}"), lambda: recipe)
        else:
            data = in_memory(recipe)
        if self.group_of is None:
            return data
        coloured = Coloured(grey=base, group_of=self.group_of, hues=np.array(list(HUES.values())))
        return replace(data, coloured=coloured)


def hues_of(classes: np.ndarray) -> np.ndarray:
    """The hue of each image, 0 or 1: half of each class, one more of the first where its number is odd: (N,)."""
    hues = np.empty(len(classes), np.int64)
    for name in np.unique(classes):
        members = np.flatnonzero(classes == name)
        hues[members[seeded_order([HUE_SEED, int(name)], len(members))]] = np.arange(len(members)) % 2
    return hues


def shrunk(images: np.ndarray, hues: np.ndarray, *, block: int, margin: int = 0) -> np.ndarray:
    """Without a margin on each side, then each pixel the mean of block x block, whatever the hue.

    uint8 (B, C, H, W) -> (B, C, (H - 2 margin) / block, (W - 2 margin) / block).
    """
    number, channels, height, width = images.shape
    middle = images[:, :, margin : height - margin, margin : width - margin]
    rows, columns = (height - 2 * margin) // block, (width - 2 * margin) // block
    blocks = middle.reshape(number, channels, rows, block, columns, block)
    return np.rint(blocks.mean((3, 5))).astype(np.uint8)


def painted(images: np.ndarray, hues: np.ndarray) -> np.ndarray:
    """Grey images in their hues: uint8 (B, 1, H, W) and int (B,) -> uint8 (B, 3, H, W)."""
    if images.shape[1] != 1:
        raise ValueError(f"images: {images.shape[1]} channels; allowed is 1, for grey images are painted")
    colours = np.array(list(HUES.values()))[hues]  # (B, 3)
    return np.rint(images * colours[:, :, None, None]).astype(np.uint8)


def _by_hue(base: str, title: str, sizes: tuple[int, ...], side: int) -> Derived:
    return Derived(
        title=f"{title}, each in one of two hues",
        base=base,
        base_sizes=sizes,
        shape=(3, side, side),
        pixels=painted,
        group_of=np.tile([0, 1], (len(sizes), 1)),
        group_names=tuple(HUES),
    )


# MNIST's digits fill 20 x 20 pixels around the middle, so a margin of 2 cuts hardly any ink.
SMALLER = {
    "mnist8": (
        8,
        "MNIST at 8 x 8, the mean of 3 x 3 of the middle 24 x 24 pixels",
        {"block": 3, "margin": 2},
    ),
    "mnist14": (14, "MNIST at 14 x 14, the mean of 2 x 2 pixels", {"block": 2}),
}


def _smaller(name: str, sizes: tuple[int, ...]) -> dict[str, Derived]:
    """A smaller MNIST as it is, in two hues, and by digit and hue."""
    side, title, how = SMALLER[name]
    grey = Derived(
        title=title, base="mnist", base_sizes=sizes, shape=(1, side, side), pixels=partial(shrunk, **how)
    )
    coloured = _by_hue(name, title, sizes, side)
    halves = np.arange(10) > 4
    crossed = replace(
        coloured,
        title=f"{title}, by two attributes: digit and hue",
        group_of=np.array([[half, half + 2] for half in halves.astype(int)]),
        group_names=("0 to 4, red", "5 to 9, red", "0 to 4, blue", "5 to 9, blue"),
    )
    return {name: grey, f"{name}-colour": coloured, f"{name}-digit-colour": crossed}


def derived(digits: tuple[int, ...], mnist: tuple[int, ...]) -> dict[str, Derived]:
    """The derived sets by name; digits, mnist: images of each class of these two."""
    return {
        "digits-colour": _by_hue("digits", "scikit-learn's digits", digits, 8),
        **_smaller("mnist8", mnist),
        **_smaller("mnist14", mnist),
        "mnist-colour": _by_hue("mnist", "MNIST", mnist, 28),
    }
