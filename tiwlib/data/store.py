"""One memory-mapped uint8 array per data set, built once and in one step.

A store is a folder of images.npy, groups.npy and meta.json, there as a whole or not at all. A lock, which the system
takes from a process that dies, keeps two builders apart; what a killed one left is cleared by the next.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from tiwlib.data.images import ImageData, release_pages
from tiwlib.runs.cache import whole

FORMAT = 1
BLOCK = 4096  # images hashed at once


@dataclass(frozen=True)
class Recipe:
    """How a store is made: what it will hold, and its images piece by piece.

    pieces yields uint8 (B, C, H, W), `number` images in all; the rest as in `ImageData`.
    """

    name: str
    number: int
    pieces: Iterator[np.ndarray]
    groups: np.ndarray | None
    group_names: tuple[str, ...]


def stored(folder: Path, recipe: Callable[[], Recipe]) -> ImageData:
    """The images of a store, which is built from its recipe if it is not there.

    Raises ValueError where the store is damaged, and whatever the recipe raises: then nothing is left behind.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.exists():
                _build(folder, recipe())
    return _open(folder)


def in_memory(recipe: Recipe) -> ImageData:
    """The images of a recipe without a store, for the smallest sets."""
    images = np.concatenate(list(recipe.pieces))
    return ImageData(recipe.name, images, recipe.groups, recipe.group_names, checksum(images, recipe.groups))


def checksum(images: np.ndarray, groups: np.ndarray | None) -> str:
    """sha256 over the bytes of images, uint8 (N, C, H, W), and groups, int64 (N,)."""
    digest = hashlib.sha256()
    for start in range(0, len(images), BLOCK):
        digest.update(np.ascontiguousarray(images[start : start + BLOCK]))
        release_pages(images)
    if groups is not None:
        digest.update(groups.astype("<i8").tobytes())
    return digest.hexdigest()


def seeded_order(seeds: list[int], size: int) -> np.ndarray:
    """A seeded order of 0..size-1: int64 (size,).

    NumPy promises the raw stream of a bit generator for ever, but not what `Generator.permutation` or
    `choice` make of it. So the order is that of raw 64-bit numbers under a stable sort.
    """
    raw = np.random.PCG64(seeds).random_raw(int(size))
    return np.argsort(raw, kind="stable").astype(np.int64)


def _build(folder: Path, recipe: Recipe) -> None:
    # left by a builder that was killed: we hold its lock
    for left in folder.parent.glob(f"{folder.name}.*.partial"):
        shutil.rmtree(left)
    with whole(folder) as partial:
        partial.mkdir()
        _write_images(partial / "images.npy", recipe)
        if recipe.groups is not None:
            np.save(partial / "groups.npy", recipe.groups.astype(np.int64))
        sha256 = checksum(np.load(partial / "images.npy", mmap_mode="r"), recipe.groups)
        meta = {"format": FORMAT, "name": recipe.name, "group_names": recipe.group_names, "sha256": sha256}
        (partial / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _write_images(path: Path, recipe: Recipe) -> None:
    written = 0
    with (
        path.open("wb") as file,
        tqdm(total=recipe.number, unit="image", desc=f"storing {recipe.name}") as bar,
    ):
        for piece in recipe.pieces:
            if written == 0:
                header = {"descr": "|u1", "fortran_order": False, "shape": (recipe.number, *piece.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(piece, np.uint8))
            written += len(piece)
            bar.update(len(piece))
    if written != recipe.number:
        raise ValueError(f"{recipe.name}: {written} images came, {recipe.number} were announced")


def _open(folder: Path) -> ImageData:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT:
            raise ValueError(f"format {meta['format']}, this version reads {FORMAT}")
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        groups = np.load(folder / "groups.npy", allow_pickle=False) if meta["group_names"] else None
        if images.ndim != 4 or images.dtype != np.uint8:
            raise ValueError(f"images are {images.dtype} {images.shape}")
        if groups is not None and len(groups) != len(images):
            raise ValueError(f"{len(groups)} groups, {len(images)} images")
        return ImageData(meta["name"], images, groups, tuple(meta["group_names"]), meta["sha256"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} is damaged ({error}); delete it, and it is built again") from None
