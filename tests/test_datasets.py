"""Data sets by name, the reader's own, batches, and the shell command."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sample_images import SHARED, encoded, fill_folder, fill_zip

from tiwlib import bias, datasets, manifest
from tiwlib.datasets import __main__ as command
from tiwlib.datasets import sources, store

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


def test_unknown_name_lists_what_is_allowed():
    with pytest.raises(
        ValueError, match="'stl10'; allowed are digits, mnist, cifar10, cifar100, celeba, ffhq"
    ):
        datasets.load("stl10")


CLASSES = ["cat/1.png", "cat/2.png", "dog/1.png"]


def test_own_folder_and_zip_of_it_are_the_same(tmp_path):
    folder = fill_folder(tmp_path / "pets", CLASSES)
    packed = fill_zip(
        tmp_path / "pets.zip", {f"train/{name}": (folder / name).read_bytes() for name in CLASSES}
    )
    fill_zip(tmp_path / "both.zip", {"test/cat/9.png": encoded(9)})
    one, two = datasets.folder(folder, tmp_path), datasets.folder(packed / "train", tmp_path)
    check_grouped(one)
    assert one.sha256 == two.sha256 and one.group_names == two.group_names == ("cat", "dog")
    assert one.images.shape == (3, 3, 8, 8)


def test_train_is_taken_where_it_stands_beside_test(tmp_path):
    names = ["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"]
    packed = fill_zip(tmp_path / "pets.zip", {name: encoded(i) for i, name in enumerate(names)})
    data = datasets.folder(packed, tmp_path)
    assert len(data.images) == 2 and data.group_names == ("cat", "dog") and data.name == "pets.zip"


def test_a_changed_folder_gives_a_new_array(tmp_path):
    folder = fill_folder(tmp_path / "pets", CLASSES)
    before = datasets.folder(folder, tmp_path)
    (folder / "dog" / "2.png").write_bytes(encoded(9))
    assert len(before.images) == 3 and len(datasets.folder(folder, tmp_path).images) == 4


def test_wrong_number_of_groups_in_a_source(tmp_path):
    folder = fill_folder(tmp_path / "pets", CLASSES)
    with pytest.raises(ValueError, match="has 2 groups; cifar10 has 10"):
        datasets.load("cifar10", tmp_path, source=folder)


def test_a_damaged_image_is_named_and_nothing_is_left(tmp_path):
    folder = fill_folder(tmp_path / "pets", CLASSES)
    (folder / "dog" / "1.png").write_bytes(encoded(2)[:60])
    with pytest.raises(ValueError, match="dog/1.png cannot be read as an image"):
        datasets.folder(folder, tmp_path)
    assert not list(tmp_path.glob("arrays/*/"))


def test_one_group_is_none(tmp_path):
    folder = fill_folder(tmp_path / "outer", ["pets/" + name for name in CLASSES])
    with pytest.raises(ValueError, match="all images of .*outer are in group 'pets'"):
        datasets.folder(folder, tmp_path)
    with pytest.raises(ValueError, match="source: .*; digits come with a package"):
        datasets.load("digits", source=folder)


def test_folders_without_classes(tmp_path):
    folder = fill_folder(tmp_path / "pets", ["cat/1.png", "2.png"])
    with pytest.raises(ValueError, match="2.png of pets is in no class sub-folder"):
        datasets.folder(folder, tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,group\n1.png,a\n2.png,b\n3.png,b\n", "3.png is not in pets; 1 such files"),
        ("file,group\n1.png,a\n2.png,b\n1.png,b\n", "1.png is named twice"),
        ("file,group\n1.png,a\n", "2.png is without a row"),
        ("file,group\n1.png,\n2.png,\n", "gives no file a group"),
        ("name,group\n1.png,a\n2.png,b\n", "has columns name, group; it needs file and group"),
        ("", "is no CSV"),
        ('file,group\n1.png,a,b,c\n2.png\n"', "is no CSV"),
    ],
)
def test_tables_with_errors(tmp_path, table, message):
    folder = fill_folder(tmp_path / "pets", ["1.png", "2.png"])
    path = tmp_path / "groups.csv"
    path.write_text(table)
    with pytest.raises(ValueError, match=message):
        datasets.folder(folder, tmp_path, str(path))
    with pytest.raises(FileNotFoundError, match="other.csv is not there"):
        datasets.folder(folder, tmp_path, str(tmp_path / "other.csv"))


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 1.5}, {"size": 5000}, {"channels": 2}])
def test_wrong_shapes(tmp_path, wrong):
    folder = fill_folder(tmp_path / "pets", CLASSES)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        datasets.folder(folder, tmp_path, **wrong)


def test_own_pair_needs_no_groups(tmp_path):
    biased = fill_folder(tmp_path / "many", [f"{i}.png" for i in range(6)])
    reference = fill_folder(tmp_path / "few", ["x/0.png", "y/1.png"], first_seed=10)
    made = bias.own_pair(biased, reference, tmp_path, size=4)
    assert made.data.images.shape == (8, 3, 4, 4) and made.data.groups is None
    assert made.data.name == "many + few" and made.data.group_names == ()
    assert made.split.biased.tolist() == list(range(6)) and made.split.reference.tolist() == [6, 7]
    np.testing.assert_array_equal(made.data.images[6], datasets.decode.decode(encoded(10), "", 4, 3))

    (reference / "x" / "0.png").write_bytes(encoded(20))
    assert bias.own_pair(biased, reference, tmp_path, size=4).split.sha256 != made.split.sha256


def test_own_pair_with_groups(tmp_path):
    biased = fill_folder(tmp_path / "many", ["a/1.png", "a/2.png", "a/3.png"])
    reference = fill_folder(tmp_path / "few", ["1.png", "2.png"], first_seed=10)
    table = tmp_path / "few.csv"
    table.write_text("file,group\n1.png,b\n2.png,a\n")
    groups = {"biased_groups": "folders", "reference_groups": str(table)}
    made = bias.own_pair(biased, reference, tmp_path, **groups)
    assert made.data.group_names == ("a", "b") and made.data.groups.tolist() == [0, 0, 0, 1, 0]
    with pytest.raises(ValueError, match="only one is given"):
        bias.own_pair(biased, reference, tmp_path, biased_groups="folders")


def test_own_pair_refuses_overlap_and_empty_sets(tmp_path):
    biased = fill_folder(tmp_path / "many", ["1.png", "2.png", "3.png"])
    reference = fill_folder(tmp_path / "few", ["a.png"], first_seed=10)
    (reference / "b.png").write_bytes(encoded(1))
    with pytest.raises(ValueError, match="reference: b.png of few is the same image as 2.png of many"):
        bias.own_pair(biased, reference, tmp_path)
    with pytest.raises(ValueError, match="reference: .* is the same image"):
        bias.own_pair(biased, biased, tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="reference: .*none has no images"):
        bias.own_pair(biased, tmp_path / "none", tmp_path)
    with pytest.raises(FileNotFoundError, match="biased: "):
        bias.own_pair(tmp_path / "nowhere", reference, tmp_path)
    assert not (tmp_path / "arrays").exists()


def test_own_pair_of_mixed_sizes(tmp_path):
    biased = fill_folder(tmp_path / "many", ["1.png", "2.png"])
    reference = fill_zip(tmp_path / "few.zip", {"a.png": encoded(9, (16, 16))})
    with pytest.raises(ValueError, match="size: a.png is 16 x 16 pixels, 1.png is 8 x 8"):
        bias.own_pair(biased, reference, tmp_path, size=None)
    assert bias.own_pair(biased, reference, tmp_path, size=8).data.images.shape == (3, 3, 8, 8)


def test_batch_is_scaled_and_checks_its_indices(tmp_path):
    data = datasets.folder(fill_folder(tmp_path / "pets", CLASSES), tmp_path)
    x0 = datasets.batch(data.images, np.array([2, 0, 2]))
    assert x0.shape == (3, 3, 8, 8) and x0.dtype == torch.float32
    np.testing.assert_allclose(x0.numpy(), data.images[[2, 0, 2]] / 127.5 - 1, atol=1e-6)
    ends = datasets.batch(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), np.array([0, 1]))
    assert ends.flatten().tolist() == [-1, 1]
    for wrong in ([3], [-1], [0.5], [[0]]):
        with pytest.raises(ValueError, match="indices"):
            datasets.batch(data.images, np.array(wrong))


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


def run(capsys, *arguments):
    status = command.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_shell_list(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0 and all(name in out for name in bias.settings.SETTINGS)
    assert "170 MB" in out and "CC BY-NC-SA 4.0" in out


def test_shell_prepare_and_verify(capsys, tmp_path):
    status, _, err = run(capsys, "verify", "digits-lt", "--root", tmp_path)
    assert status == 1 and "prepare" in err
    status, out, _ = run(capsys, "prepare", "digits-lt", "--root", tmp_path)
    assert status == 0 and manifest.known_hash("digits-lt", 0) in out and "the same hash" in out
    assert run(capsys, "verify", "digits-lt", "--root", tmp_path)[0] == 0
    path = tmp_path / "splits" / "digits-lt-seed0.json"
    path.write_text(path.read_text().replace("biased", "bised", 1))
    status, out, err = run(capsys, "verify", "digits-lt", "--root", tmp_path)
    assert status == 1 and err.startswith("error: ") and err.count("\n") == 1


def test_shell_verify_sees_a_changed_array(capsys, tmp_path):
    own = tmp_path / "own.json"
    folder = fill_folder(tmp_path / "pets", [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(9)])
    fields = {"source": folder.name, "bias": "natural", "arguments": {"total": 10}, "reference_share": 0.4}
    own.write_text(json.dumps(fields))
    assert run(capsys, "prepare", own, "--root", tmp_path)[0] == 0
    status, out, _ = run(capsys, "verify", own, "--root", tmp_path)
    assert status == 0 and "no hash for this setting" in out
    (array,) = tmp_path.glob("arrays/*/images.npy")
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    status, _, err = run(capsys, "verify", own, "--root", tmp_path)
    assert status == 1 and "the array of pets has sha256" in err


def test_shell_errors_are_one_line(capsys, tmp_path):
    for arguments in (("prepare", "nothing"), ("prepare", "ffhq-80", "--root", tmp_path)):
        status, _, err = run(capsys, *arguments)
        assert status == 1 and err.startswith("error: ") and err.count("\n") == 1
    with pytest.raises(SystemExit, match="2"):
        command.main(["prepare"])


def test_shell_manifest(capsys, tmp_path):
    assert run(capsys, "manifest", "--out", tmp_path / "m.json")[0] == 0
    assert (tmp_path / "m.json").read_text() == manifest.PATH.read_text()
