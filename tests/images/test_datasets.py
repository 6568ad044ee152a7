"""Data sets by name, and batches of them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sample_images import SHARED, encoded, fill_folder

import tiwlib.torchvision_cpu  # noqa: F401  before torchvision
from tiwlib import data as datasets
from tiwlib.data import Subset, batch, bias, manifest, sources, store
from tiwlib.data.images import OnDevice

CIFAR_ZIP = SHARED / "cifar10-jpeg.zip"
needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST").exists(), reason="no MNIST beside the checkout")
needs_cifar = pytest.mark.skipif(not CIFAR_ZIP.exists(), reason="no CIFAR-10 zip beside the checkout")


def check_grouped(data):
    assert data.images.dtype == np.uint8 and data.images.ndim == 4
    assert data.groups.dtype == np.int64 and len(data.groups) == len(data.images)
    assert (np.diff(data.groups) >= 0).all()


def check_hashes(made):
    """The hashes of the manifest, from labels that were read and not assumed."""
    names = [name for name, row in settings_of(made) if row["sha256"]]
    assert names
    for name in names:
        split = bias.draw(name, bias.settings.find(name), made.group_sizes(), made.group_names, manifest.SEED)
        assert split.sha256 == manifest.known_hash(name, manifest.SEED)


def settings_of(made):
    rows = ((name, manifest.row(name)) for name in bias.settings.SETTINGS)
    return [(name, row) for name, row in rows if made.name.split()[0] == row["source"]]


def test_digits():
    data = datasets.load("digits")
    check_grouped(data)
    assert data.images.shape == (1797, 1, 8, 8) and (data.images.min(), data.images.max()) == (0, 255)
    assert tuple(data.group_sizes()) == sources.SOURCES["digits"].group_sizes
    check_hashes(data)


def test_digits_lt_is_the_setting_of_the_notebooks():
    made = bias.load()
    counts = made.split.counts(made.data.groups, 10)
    assert counts["biased"].tolist() == [147, 105, 76, 54, 39, 28, 20, 14, 10, 7]
    assert counts["reference"].tolist() == [5] * 10


@needs_mnist
def test_mnist(tmp_path):
    data = datasets.load("mnist", tmp_path, source=SHARED)
    check_grouped(data)
    assert data.name == "mnist" and data.images.shape == (60_000, 1, 28, 28)
    assert tuple(data.group_sizes()) == sources.SOURCES["mnist"].group_sizes
    check_hashes(data)


def test_mnist_with_a_wrong_checksum(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4]) + bytes(32)  # two images of 4 x 4
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(pixels)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1]))
    with pytest.raises(ValueError, match="train-images-idx3-ubyte: wrong md5 sum"):
        datasets.load("mnist", tmp_path)
    (raw / "train-images-idx3-ubyte").write_bytes(pixels[:-10])
    with pytest.raises(ValueError, match="MNIST/raw is incomplete or damaged"):
        datasets.load("mnist", tmp_path)
    assert not list(tmp_path.glob("arrays/mnist*/"))


@needs_cifar
@pytest.mark.slow
def test_cifar10_from_a_zip(tmp_path):
    data = datasets.load("cifar10", tmp_path, source=CIFAR_ZIP)
    check_grouped(data)
    assert data.name == "cifar10 from cifar10-jpeg.zip"  # JPEG files: no FID to compare with the paper's
    assert data.images.shape == (50_000, 3, 32, 32)
    assert tuple(data.group_sizes()) == sources.SOURCES["cifar10"].group_sizes
    check_hashes(data)


@needs_cifar
def test_cifar10_labels_of_the_zip_give_the_hashes_of_the_manifest():
    files = datasets.archive.open_images(CIFAR_ZIP / "train")
    names, sizes = np.unique(list(datasets.groups.label(files, "folders").values()), return_counts=True)
    for name in ("cifar10-lt-5", "cifar10-lt-10", "cifar10-lt-25", "cifar10-lt-50"):
        split = bias.draw(name, bias.settings.find(name), sizes, tuple(names), 0)
        assert split.sha256 == manifest.known_hash(name, 0)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100", "celeba"])
def test_a_missing_download_names_the_command(tmp_path, name):
    with pytest.raises(
        FileNotFoundError, match=f"is not there; `python -m .* prepare SETTING --root {tmp_path}`"
    ):
        datasets.load(name, tmp_path)
    assert not list(tmp_path.glob("arrays/*/"))


def test_cifar_files_with_wrong_checksums_are_never_unpickled(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ):
        (folder / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ValueError, match="cifar-10-batches-py is incomplete or damaged .*corrupted"):
        datasets.load("cifar10", tmp_path)


class OfficialCifar:
    """What torchvision's CIFAR10 offers once its files have been checked."""

    classes = ["cat", "dog"]

    def __init__(self, root, download):
        self.data = np.arange(6 * 32 * 32 * 3).astype(np.uint8).reshape(6, 32, 32, 3)
        self.data[:, 0, 0, 0] = range(6)
        self.targets = [1, 0, 1, 0, 0, 1]


def test_official_arrays_are_grouped_in_their_own_order(tmp_path, monkeypatch):
    import torchvision

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", OfficialCifar)
    data = datasets.load("cifar10", tmp_path, download=True)
    check_grouped(data)
    assert data.images[:, 0, 0, 0].tolist() == [1, 3, 4, 0, 2, 5]
    assert data.groups.tolist() == [0, 0, 0, 1, 1, 1] and data.group_names == ("cat", "dog")
    assert data.images.shape == (6, 3, 32, 32)
    np.testing.assert_array_equal(data.images[0], OfficialCifar("", False).data[1].transpose(2, 0, 1))


class OfficialCelebA:
    """What torchvision's CelebA offers: files and attributes of one part."""

    attr_names = ["Black_Hair", "Young", "Male", ""]

    def __init__(self, root, split, download):
        first, rows = {"train": (0, [[0, 1, 1], [1, 0, 0]]), "valid": (2, [[0, 0, 0], [1, 1, 1]])}[split]
        self.filename = [f"{first + i:06d}.jpg" for i in range(2)]
        self.attr = torch.tensor(rows)


def test_celeba_groups_and_crop(tmp_path, monkeypatch):
    import torchvision

    monkeypatch.setattr(torchvision.datasets, "CelebA", OfficialCelebA)
    for i in range(4):
        path = tmp_path / "celeba" / "img_align_celeba" / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(i, (178, 218), kind="JPEG"))
    data = datasets.load("celeba", tmp_path)
    assert data.images.shape == (4, 3, 64, 64)
    assert data.group_names == (
        "female, other hair",
        "male, other hair",
        "female, black hair",
        "male, black hair",
    )
    assert data.groups.tolist() == [0, 1, 2, 3]
    for image, file in zip(data.images, (2, 0, 1, 3), strict=True):
        expected = datasets.decode.decode(encoded(file, (178, 218), kind="JPEG"), "", 64, 3, crop=140)
        np.testing.assert_array_equal(image, expected)


def test_ffhq_from_the_readers_images_and_table(tmp_path):
    with pytest.raises(FileNotFoundError, match="README.md says how to obtain"):
        datasets.load("ffhq", tmp_path)
    folder = fill_folder(tmp_path / "ffhq" / "images", ["0.png", "1.png", "2.png"])
    (tmp_path / "ffhq" / "groups.csv").write_text("file,group\n1.png,male\n0.png,\n2.png,female\n")
    data = datasets.load("ffhq", tmp_path)
    assert folder.exists() and data.images.shape == (2, 3, 64, 64)
    assert data.groups.tolist() == [0, 1] and data.group_names == ("female", "male")
    (tmp_path / "ffhq" / "groups.csv").write_text("file,group\n1.png,female\n0.png,female\n2.png,male\n")
    assert datasets.load("ffhq", tmp_path).groups.tolist() == [0, 0, 1], "a changed table is not overlooked"


def files_of_ffhq(root, first_seed):
    fill_folder(root / "ffhq" / "images", ["0.png", "1.png"], first_seed)
    (root / "ffhq" / "groups.csv").write_text("file,group\n0.png,male\n1.png,female\n")
    return root


def test_another_source_of_ffhq_is_another_array(tmp_path):
    one, two = (files_of_ffhq(tmp_path / name, seed) for seed, name in ((0, "a"), (50, "b")))
    first, second = (datasets.load("ffhq", tmp_path, source=place) for place in (one, two))
    assert first.sha256 != second.sha256 and first.natural
    expected = datasets.decode.decode(encoded(51), "", 64, 3)  # the female is the second file
    np.testing.assert_array_equal(second.images[0], expected)
    assert datasets.load("ffhq", tmp_path, source=one).sha256 == first.sha256
    (one / "ffhq" / "images" / "0.png").write_bytes(encoded(99))
    assert datasets.load("ffhq", tmp_path, source=one).sha256 != first.sha256, "changed in place"


def test_another_source_of_celeba_is_another_array(tmp_path, monkeypatch):
    import torchvision

    monkeypatch.setattr(torchvision.datasets, "CelebA", OfficialCelebA)
    for name, first in (("a", 0), ("b", 50)):
        folder = tmp_path / name / "celeba" / "img_align_celeba"
        folder.mkdir(parents=True)
        for i in range(4):
            (folder / f"{i:06d}.jpg").write_bytes(encoded(first + i, (178, 218), kind="JPEG"))
    one, two = (datasets.load("celeba", tmp_path, source=tmp_path / name) for name in "ab")
    assert one.sha256 != two.sha256


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_empty_folder_of_a_download_that_failed_is_no_download(name, tmp_path, monkeypatch):
    import torchvision

    def fails(root, download):
        raise RuntimeError("Name or service not known")

    kind = {"mnist": "MNIST", "cifar10": "CIFAR10"}[name]
    monkeypatch.setattr(torchvision.datasets, kind, fails)
    (tmp_path / sources.SOURCES[name].marker).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="could not be fetched .Name or service not known"):
        datasets.load(name, tmp_path, download=True)
    with pytest.raises(FileNotFoundError, match="is not there; `python -m .* prepare"):
        datasets.load(name, tmp_path)


def test_unknown_name_lists_what_is_allowed():
    with pytest.raises(
        ValueError, match="'stl10'; allowed are digits, mnist, cifar10, cifar100, celeba, ffhq"
    ):
        datasets.load("stl10")


def test_batch_is_scaled_and_checks_its_indices():
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8), np.uint8)
    x0 = datasets.batch(images, np.array([2, 0, 2]))
    assert x0.shape == (3, 3, 8, 8) and x0.dtype == torch.float32
    np.testing.assert_allclose(x0.numpy(), images[[2, 0, 2]] / 127.5 - 1, atol=1e-6)
    ends = datasets.batch(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), np.array([0, 1]))
    assert ends.flatten().tolist() == [-1, 1]
    for wrong in ([3], [-1], [0.5], [[0]]):
        with pytest.raises(ValueError, match="indices"):
            datasets.batch(images, np.array(wrong))


@pytest.mark.parametrize("number", [1, 31, 32, 33, 64, 65])
def test_a_batch_of_any_size_is_read_to_its_end(number):
    """CHUNK images are turned into floats at once: whole chunks, and what is left over."""
    assert datasets.images.CHUNK == 32
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 2, 2), np.uint8)
    indices = np.random.default_rng(1).permutation(70)[:number]
    np.testing.assert_allclose(batch(images, indices).numpy(), images[indices] / 127.5 - 1, atol=1e-6)


def test_images_held_on_a_device_give_the_same_batches():
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 4), np.uint8)
    subset, i = Subset(images, np.array([8, 1, 3, 5])), torch.tensor([3, 0, 0])
    assert subset.on(torch.device("cpu")) is subset  # nothing to gain there
    held = OnDevice(subset, torch.device("cpu"))
    assert (
        len(held) == 4
        and torch.equal(held[i], subset[i])
        and torch.equal(held[i], batch(images, np.array([5, 8, 8])))
    )


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's table of mapped pages")
def test_batches_leave_no_pages_of_the_array_in_memory(tmp_path):
    images = np.zeros((200, 3, 64, 64), np.uint8)  # 2.4 MB
    data = store.stored(tmp_path / "zeros", lambda: store.Recipe("zeros", 200, iter([images]), None, ()))

    def resident():
        table = Path("/proc/self/smaps").read_text().split(str(tmp_path / "zeros" / "images.npy"))[1]
        return int(re.search(r"Rss: +(\d+) kB", table)[1])

    assert data.images.sum() == 0 and resident() > 2000
    datasets.batch(data.images, np.arange(200))
    assert resident() == 0
