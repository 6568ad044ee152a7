"""The reader's own images: one folder or zip with groups, or a biased and a small unbiased one without."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np

from tiwlib.data.archive import ImageFiles, open_images
from tiwlib.data.decode import decode_all
from tiwlib.data.groups import label, names_of
from tiwlib.data.images import ImageData
from tiwlib.data.store import Recipe, stored

SPLIT_FOLDERS = {"train", "test", "val", "valid", "validation"}


def folder(
    path: str | Path,
    root: str | Path = "data",
    groups: str = "folders",
    size: int | None = None,
    channels: int = 3,
    name: str | None = None,
) -> ImageData:
    """Any folder or zip of images with groups; the array is stored below `root`.

    groups: "folders" (class sub-folders; those in train where that stands beside test), or a CSV, see `label`
    size: side to which all images are cropped and scaled, None where all have one size; channels: 1 or 3
    name: of the result; the folder's or zip's own if None
    Raises ValueError or FileNotFoundError for what is missing, damaged or contradictory.
    """
    files = open_images(path)
    if groups == "folders" and "train" in (top := {file.split("/")[0] for file in files.names}):
        files = open_images(Path(path, "train")) if top <= SPLIT_FOLDERS else files
    labels = label(files, groups)
    if len(set(labels.values())) < 2:
        raise ValueError(
            f"groups: all images of {path} are in group {next(iter(labels.values()))!r}; allowed are two or "
            f"more: name the folder whose sub-folders are the groups"
        )
    order = sorted(labels, key=lambda file: (labels[file], file))
    members, ordered = [(files, file) for file in order], [labels[file] for file in order]
    return _stored(root, name or Path(path).resolve().name, members, ordered, size, channels)


def pair(
    biased: str | Path,
    reference: str | Path,
    root: str | Path = "data",
    size: int | None = 64,
    channels: int = 3,
    biased_groups: str | None = None,
    reference_groups: str | None = None,
) -> tuple[ImageData, int]:
    """A folder or zip of biased images and one of unbiased ones: all images, biased first, and their number.

    biased_groups, reference_groups: like `groups` of `folder`, both or neither; without, there are no groups
    The rest as in `folder`. Raises ValueError also where a file of one set is, byte for byte, in the other.
    """
    if (biased_groups is None) != (reference_groups is None):
        raise ValueError("biased_groups, reference_groups: only one is given; allowed are both or neither")
    sets = open_images(biased, "biased"), open_images(reference, "reference")
    _refuse_overlap(*sets)
    if biased_groups is None:
        members = [(files, file) for files in sets for file in files.names]
        labels, number = None, len(sets[0].names)
    else:
        tables = label(sets[0], biased_groups), label(sets[1], reference_groups)
        members = [(files, file) for files, table in zip(sets, tables, strict=True) for file in table]
        labels, number = [group for table in tables for group in table.values()], len(tables[0])
        missing = sorted(set(tables[0].values()) - set(tables[1].values()))
        if missing:
            warnings.warn(f"reference: {sets[1].label} has no image of group {missing[0]!r}", stacklevel=2)
    return _stored(root, f"{sets[0].label} + {sets[1].label}", members, labels, size, channels), number


def _stored(
    root: str | Path,
    name: str,
    members: list[tuple[ImageFiles, str]],
    labels: list[str] | None,
    size: int | None,
    channels: int,
) -> ImageData:
    """The members' images, stored under a name that changes with any file, group or size."""
    if channels not in (1, 3):
        raise ValueError(f"channels: {channels!r}; allowed are 1 and 3")
    if size is not None and not (isinstance(size, int) and 1 <= size <= 4096):
        raise ValueError(f"size: {size!r}; allowed is an int from 1 to 4096, or None")
    stamps = [(file, *files.stamps[file]) for files, file in members]
    key = hashlib.sha256(json.dumps([name, stamps, labels, size, channels]).encode()).hexdigest()
    names = [] if labels is None else names_of(labels)
    numbers = None if labels is None else np.searchsorted(names, labels)

    def recipe() -> Recipe:
        return Recipe(name, len(members), decode_all(members, size, channels), numbers, tuple(names))

    return stored(Path(root, "arrays", f"own-{key[:16]}"), recipe)


def _refuse_overlap(biased: ImageFiles, reference: ImageFiles) -> None:
    """Raise ValueError where a file of the biased set is, byte for byte, in the reference set."""
    sizes = {size for size, _ in reference.stamps.values()} & {size for size, _ in biased.stamps.values()}

    def contents(files: ImageFiles) -> dict[str, str]:
        alike = (name for name, (size, _) in files.stamps.items() if size in sizes)  # others cannot be equal
        return {hashlib.sha256(files.read(name)).hexdigest(): name for name in alike}

    first, second = contents(biased), contents(reference)
    both = first.keys() & second.keys()
    if both:
        one = min(both)
        raise ValueError(
            f"reference: {second[one]} of {reference.label} is the same image as {first[one]} of "
            f"{biased.label}, {len(both)} such pairs; allowed are two sets that share no image"
        )
