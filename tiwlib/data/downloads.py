"""What the named data sets share: where a download is, who fetches it, and how its images become a recipe."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tiwlib.data.archive import ImageFiles, open_images
from tiwlib.data.decode import decode_all
from tiwlib.data.store import Recipe


def mark(place: Path, files: str) -> str:
    """A mark of image files without a checksum and of the tables beside them: others are another array."""
    if not files or not there(place):
        return ""
    digest = hashlib.sha256(str(place.resolve()).encode() + images_at(place, files).fingerprint().encode())
    for table in sorted((*place.glob("*.csv"), *place.glob("*.txt"))):
        digest.update(table.read_bytes())
    return f"-{digest.hexdigest()[:16]}"


def there(place: Path) -> bool:
    """Whether a download is there: a first one that failed leaves empty folders."""
    return any(path.is_file() for path in place.rglob("*"))


def images_at(place: Path, files: str) -> ImageFiles:
    """The images of a folder, or of the zip of that name beside where it would be."""
    return open_images(place / files if (place / files).is_dir() else place / f"{files}.zip")


def official(kind: str, root: Path, marker: str, download: bool, **options):
    """One of torchvision's data sets, with errors that say what to do."""
    import tiwlib.torchvision_cpu  # noqa: F401, I001  before torchvision
    import torchvision

    fetched = there(root / marker)
    if not fetched and not download:
        raise FileNotFoundError(
            f"{root / marker} is not there; `python -m tiwlib.data prepare SETTING --root {root}` fetches it"
        )
    try:
        return getattr(torchvision.datasets, kind)(str(root), download=download, **options)
    except (RuntimeError, OSError, AssertionError) as error:  # incomplete, md5 wrong, no network, cut short
        reason = " ".join(str(error).split())
        if fetched:
            raise ValueError(
                f"{root / marker} is incomplete or damaged ({reason}); delete it and prepare it again"
            ) from None
        raise FileNotFoundError(f"{root / marker} could not be fetched ({reason})") from None


def grouped(
    name: str, labels: Sequence[int], names: Iterable[str], pieces: Callable[[np.ndarray], Iterator]
) -> Recipe:
    """The recipe of images that stand sorted by label, in their own order within a group. pieces: from that order."""
    labels = np.asarray(labels, np.int64)
    order = np.argsort(labels, kind="stable")
    return Recipe(name, len(order), pieces(order), labels[order], tuple(names))


def from_arrays(name: str, images: np.ndarray, labels: Sequence[int], names: Iterable[str]) -> Recipe:
    """The recipe of images (N, C, H, W) in memory."""
    starts = range(0, len(images), 4096)
    return grouped(name, labels, names, lambda order: (images[order[i : i + 4096]] for i in starts))


def from_files(
    name: str,
    files: ImageFiles,
    names: Sequence[str],
    labels: Sequence[int],
    group_names: Sequence[str],
    side: int,
    crop: int | None = None,
) -> Recipe:
    """The recipe of colour images in files, each cropped and scaled to `side`."""
    return grouped(
        name, labels, group_names, lambda order: decode_all([(files, names[i]) for i in order], side, 3, crop)
    )
