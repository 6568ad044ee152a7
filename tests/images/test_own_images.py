"""The reader's own images: folders and zips with groups, and the pair without."""

import numpy as np
import pytest
from sample_images import encoded, fill_folder, fill_zip

from tiwlib import data as datasets
from tiwlib.data import bias

CLASSES = ["cat/1.png", "cat/2.png", "dog/1.png"]


def test_own_folder_and_zip_of_it_are_the_same(tmp_path):
    folder = fill_folder(tmp_path / "pets", CLASSES)
    packed = fill_zip(
        tmp_path / "pets.zip", {f"train/{name}": (folder / name).read_bytes() for name in CLASSES}
    )
    fill_zip(tmp_path / "both.zip", {"test/cat/9.png": encoded(9)})
    one, two = datasets.folder(folder, tmp_path), datasets.folder(packed / "train", tmp_path)
    assert one.groups.tolist() == [0, 0, 1]
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
        ("file,group\n1.png,a,b\n2.png,b\n", "has 3 cells in row 2; its header 2"),
        ("file,group\n1.png\n2.png,b\n", "has 1 cells in row 2; its header 2"),
        ("file,group\n1.png,cat\n2.png,Cat\n", "'Cat' and 'cat' are spelt alike"),
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
    reference = fill_folder(tmp_path / "few", ["x/0.png", "y/1.png", "y/2.png", "y/3.png"], first_seed=10)
    made = bias.own_pair(biased, reference, tmp_path, size=4)
    assert made.data.images.shape == (10, 3, 4, 4) and made.data.groups is None
    assert made.data.name == "many + few" and made.data.group_names == ()
    assert made.split.biased.tolist() == list(range(6)) and made.split.reference.tolist() == [6, 7, 8, 9]
    np.testing.assert_array_equal(made.data.images[6], datasets.decode.decode(encoded(10), "", 4, 3))

    (reference / "x" / "0.png").write_bytes(encoded(20))
    assert bias.own_pair(biased, reference, tmp_path, size=4).split.sha256 != made.split.sha256


def test_own_pair_with_groups(tmp_path):
    biased = fill_folder(tmp_path / "many", ["a/1.png", "a/2.png", "a/3.png", "a/4.png"])
    reference = fill_folder(tmp_path / "few", ["1.png", "2.png", "3.png", "4.png"], first_seed=10)
    table = tmp_path / "few.csv"
    table.write_text("file,group\n1.png,b\n2.png,a\n3.png,a\n4.png,a\n")
    groups = {"biased_groups": "folders", "reference_groups": str(table)}
    made = bias.own_pair(biased, reference, tmp_path, **groups)
    assert made.data.group_names == ("a", "b") and made.data.groups.tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    with pytest.raises(ValueError, match="only one is given"):
        bias.own_pair(biased, reference, tmp_path, biased_groups="folders")


@pytest.mark.parametrize(
    "table",
    [
        "file,group\n1.png,a\n2.png,b\n",
        "file,group\n1.png,a,\n2.png,b,\n",
        "file,group,\n1.png,a,\n2.png,b,\n",
        " file , group \n1.png, a\n 2.png,b \n\n",
        "\ufefffile,group\r\n1.png,a\r\n2.png,b\r\n",
        'note,group,file\n"x, y",a,1.png\n,b,2.png\n',
    ],
)
def test_tables_that_are_read(tmp_path, table):
    folder = fill_folder(tmp_path / "pets", ["1.png", "2.png"])
    path = tmp_path / "groups.csv"
    path.write_text(table, encoding="utf-8", newline="")
    data = datasets.folder(folder, tmp_path, str(path))
    assert data.group_names == ("a", "b") and data.groups.tolist() == [0, 1]


@pytest.mark.parametrize(
    "names",
    [("Female", "female"), ("old man", "old  man"), ("a ", "a"), ("\ufb01n", "fin"), ("STRASSE", "straße")],
)
def test_own_pair_refuses_groups_that_are_spelt_in_two_ways(names, tmp_path):
    biased = fill_folder(tmp_path / "many", [f"{names[0]}/{i}.png" for i in range(3)] + ["other/1.png"])
    reference = fill_folder(tmp_path / "few", [f"{names[1]}/{i}.png" for i in range(3)], first_seed=10)
    with pytest.raises(ValueError, match="groups: .* are spelt alike but for case or spaces"):
        bias.own_pair(biased, reference, tmp_path, biased_groups="folders", reference_groups="folders")


def test_own_pair_says_which_group_has_no_reference_image(tmp_path):
    biased = fill_folder(tmp_path / "many", ["a/1.png", "a/2.png", "a/3.png", "b/4.png"])
    reference = fill_folder(tmp_path / "few", [f"a/{i}.png" for i in range(4)], first_seed=10)
    with pytest.warns(UserWarning, match="reference: few has no image of group 'b'"):
        bias.own_pair(biased, reference, tmp_path, biased_groups="folders", reference_groups="folders")


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
    biased = fill_folder(tmp_path / "many", ["1.png", "2.png", "3.png", "4.png"])
    reference = fill_zip(
        tmp_path / "few.zip", {f"{name}.png": encoded(i, (16, 16)) for i, name in enumerate("abcd")}
    )
    with pytest.raises(ValueError, match="size: a.png is 16 x 16 pixels, 1.png is 8 x 8"):
        bias.own_pair(biased, reference, tmp_path, size=None)
    assert bias.own_pair(biased, reference, tmp_path, size=8).data.images.shape == (8, 3, 8, 8)
