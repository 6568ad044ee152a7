"""The named data sets: where each comes from, under which licence, and how its images and groups are read.

torchvision downloads what may be downloaded, and checks the md5 sums. CIFAR's official files are pickles;
torchvision opens them only after it has found their md5 sums right, each time: no other pickle is ever read.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tiwlib.data.archive import open_images
from tiwlib.data.derived import Derived, derived
from tiwlib.data.downloads import from_arrays, from_files, images_at, mark, official, there
from tiwlib.data.folders import folder
from tiwlib.data.groups import label, names_of
from tiwlib.data.images import ImageData
from tiwlib.data.store import Recipe, in_memory, stored

MNIST_MD5 = {  # torchvision checks the downloaded archives, but not what was unpacked from them
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
}
CELEBA_GROUPS = ("female, other hair", "male, other hair", "female, black hair", "male, black hair")
CELEBA_CROP = 140  # of 178 x 218: the face, the crop that is usual for 64 x 64


@dataclass(frozen=True, kw_only=True)
class Source:
    """A named data set.

    title, url, licence for people
    download_bytes      about; 0 where it comes with a package, None where the reader obtains it
    shape               (C, H, W) of an image
    group_sizes         images of each group where they are known beforehand, else None
    group_names         of the groups where a setting asks for them by name and they are known beforehand
    marker              path below the root where its files are, "" where there are none
    files               path below the marker where image files lie that nobody has a checksum of, "" where none do
    recipe              from (root, download) to a Recipe
    natural             whether the images are photographs, whose FID the field knows
    """

    title: str
    url: str
    licence: str
    download_bytes: int | None
    shape: tuple[int, int, int]
    recipe: Callable[[Path, bool], Recipe]
    group_sizes: tuple[int, ...] | None = None
    group_names: tuple[str, ...] = ()
    marker: str = ""
    files: str = ""
    natural: bool = False


def load(
    name: str, root: str | Path = "data", source: str | Path | None = None, download: bool = False
) -> ImageData:
    """The images of a named data set, grouped; the array is built below `root` at the first call.

    source   where the files are, if not in `root`: a folder laid out as `root` would be, or a folder or zip
             of the same images in class sub-folders, and then the result's name says so
    download whether missing files may be fetched
    Raises ValueError for an unknown name or damaged files, FileNotFoundError for missing ones.
    """
    if name not in SOURCES:
        raise ValueError(f"name: {name!r}; allowed are {', '.join(SOURCES)}")
    chosen = SOURCES[name]
    if isinstance(chosen, Derived):
        return chosen.of(load(chosen.base, root, source, download), name, Path(root))
    if chosen.download_bytes == 0:
        if source is not None:
            raise ValueError(f"source: {str(source)!r}; {name} come with a package, allowed is None")
        return in_memory(chosen.recipe(Path(root), download))
    if source is None or Path(source, chosen.marker).exists():
        place = Path(source or root)
        if chosen.files and download and not there(place / chosen.marker):
            chosen.recipe(place, download)  # now the files are there, whose stamps name the array
        array = Path(root, "arrays", name + mark(place / chosen.marker, chosen.files))
        return replace(stored(array, lambda: chosen.recipe(place, download)), natural=chosen.natural)
    channels, size, _ = chosen.shape
    title = f"{name} from {Path(source).resolve().name}"
    data = folder(source, root, "folders", size, channels, title)
    if chosen.group_sizes and len(chosen.group_sizes) != len(data.group_names):
        raise ValueError(
            f"source: {source} has {len(data.group_names)} groups; {name} has {len(chosen.group_sizes)}"
        )
    return replace(data, natural=chosen.natural)


def _digits(root: Path, download: bool) -> Recipe:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]  # from 0..16
    return from_arrays("digits", images, digits.target, map(str, range(10)))


def _mnist(root: Path, download: bool) -> Recipe:
    import tiwlib.torchvision_cpu  # noqa: F401, I001  before torchvision
    from torchvision.datasets.utils import check_integrity

    mnist = official("MNIST", root, SOURCES["mnist"].marker, download)
    for name, md5 in MNIST_MD5.items():
        if not check_integrity(str(path := root / "MNIST" / "raw" / name), md5):
            raise ValueError(f"{path}: wrong md5 sum; delete it and prepare the setting again")
    return from_arrays("mnist", mnist.data.numpy()[:, None], mnist.targets.numpy(), map(str, range(10)))


def _cifar10(root: Path, download: bool) -> Recipe:
    cifar = official("CIFAR10", root, SOURCES["cifar10"].marker, download)
    return from_arrays("cifar10", cifar.data.transpose(0, 3, 1, 2), cifar.targets, cifar.classes)


def _cifar100(root: Path, download: bool) -> Recipe:
    cifar = official("CIFAR100", root, SOURCES["cifar100"].marker, download)
    return from_arrays("cifar100", cifar.data.transpose(0, 3, 1, 2), cifar.targets, cifar.classes)


def _celeba(root: Path, download: bool) -> Recipe:
    """Train and validation images in official order; the test images stay out, for measuring."""
    marker, images = SOURCES["celeba"].marker, SOURCES["celeba"].files
    parts = [official("CelebA", root, marker, download, split=part) for part in ("train", "valid")]
    columns = [parts[0].attr_names.index(name) for name in ("Male", "Black_Hair")]
    attributes = np.concatenate([part.attr[:, columns].numpy() for part in parts])
    names = np.array([name for part in parts for name in part.filename])
    files = open_images(root / marker / images)
    return from_files("celeba", files, names, attributes @ [1, 2], CELEBA_GROUPS, 64, CELEBA_CROP)


def _ffhq(root: Path, download: bool) -> Recipe:
    """The reader's images, as root/ffhq/images or images.zip, and root/ffhq/groups.csv."""
    place = root / SOURCES["ffhq"].marker
    if not place.is_dir():
        raise FileNotFoundError(f"{place} is not there; data/README.md says how to obtain and place FFHQ")
    files = images_at(place, SOURCES["ffhq"].files)
    groups = label(files, str(place / "groups.csv"))
    names = names_of(groups.values())
    return from_files(
        "ffhq", files, list(groups), [names.index(group) for group in groups.values()], names, 64
    )


SOURCES: dict[str, Source | Derived] = {
    "digits": Source(
        title="scikit-learn's digits: optical recognition of handwritten digits",
        url="https://archive.ics.uci.edu/dataset/80",
        licence="CC BY 4.0",
        download_bytes=0,
        shape=(1, 8, 8),
        group_sizes=(178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
        recipe=_digits,
    ),
    "mnist": Source(
        title="MNIST handwritten digits, training images",
        url="http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
        download_bytes=11_594_722,
        shape=(1, 28, 28),
        group_sizes=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        marker="MNIST/raw",
        recipe=_mnist,
    ),
    "cifar10": Source(
        title="CIFAR-10, training images",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated; cite Krizhevsky (2009)",
        download_bytes=170_498_071,
        shape=(3, 32, 32),
        group_sizes=(5000,) * 10,
        marker="cifar-10-batches-py",
        recipe=_cifar10,
        natural=True,
    ),
    "cifar100": Source(
        title="CIFAR-100, training images",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated; cite Krizhevsky (2009)",
        download_bytes=169_001_437,
        shape=(3, 32, 32),
        group_sizes=(500,) * 100,
        marker="cifar-100-python",
        recipe=_cifar100,
        natural=True,
    ),
    "celeba": Source(
        title="CelebA, aligned and cropped, training and validation images",
        url="http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        licence="non-commercial research only, no redistribution",
        download_bytes=1_495_000_000,
        shape=(3, 64, 64),
        marker="celeba",
        files="img_align_celeba",
        recipe=_celeba,
        natural=True,
    ),
    "ffhq": Source(
        title="FFHQ with a table of gender",
        url="https://github.com/NVlabs/ffhq-dataset",
        licence="CC BY-NC-SA 4.0; single images under Creative Commons licences of their own",
        download_bytes=None,
        shape=(3, 64, 64),
        marker="ffhq",
        files="images",
        recipe=_ffhq,
        natural=True,
    ),
}
SOURCES |= derived(SOURCES["digits"].group_sizes, SOURCES["mnist"].group_sizes)


def origin(name: str) -> Source:
    """Where a named data set comes from: itself, or what it is derived from."""
    chosen = SOURCES[name]
    return origin(chosen.base) if isinstance(chosen, Derived) else chosen
