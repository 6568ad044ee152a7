"""Counts, draws and hashes of the biased and reference sets."""

import json

import numpy as np
import pytest
from sample_images import fill_folder

from tiwlib.data import SOURCES, bias, manifest, settings, splits, store
from tiwlib.data.settings import SETTINGS, Setting
from tiwlib.data.splits import Split
from tiwlib.measures import distances
from tiwlib.runs import guard

SIZES = np.array([100, 80, 60, 40])
NAMES = ("a", "b", "c", "d")


def draw(share=0.1, seed=0, **arguments):
    chosen = Setting("x", "long_tail", {"imbalance": 0.1, "total": 100} | arguments, share)
    return bias.draw("x", chosen, SIZES, NAMES, seed)


def test_long_tail_is_exponential_and_sums_to_the_total():
    counts = bias.counts("long_tail", {"imbalance": 0.01, "total": 10_000}, np.full(10, 5000), range(10))
    assert counts.sum() == 10_000
    ratios = counts[1:5] / counts[:4]
    assert ratios == pytest.approx(0.01 ** (1 / 9), rel=3e-3)
    assert counts[-1] / counts[0] == pytest.approx(0.01, rel=0.02)


def test_imbalance_one_is_balanced():
    counts = bias.counts("long_tail", {"imbalance": 1, "total": 42}, SIZES, NAMES)
    assert counts.tolist() == [11, 11, 10, 10]


@pytest.mark.parametrize("imbalance", [0, -0.1, 1.01, float("nan")])
def test_imbalance_out_of_range(imbalance):
    with pytest.raises(ValueError, match=r"imbalance: .*\(0, 1\]"):
        draw(imbalance=imbalance)


def test_group_share():
    counts = bias.counts("group_share", {"group": "b", "share": 0.8, "total": 100}, SIZES, NAMES)
    assert counts.tolist() == [7, 80, 7, 6]
    for wrong in ({"group": "z"}, {"share": 1.0}, {"share": 0}, {"total": 0}, {"total": 1.5}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            bias.counts("group_share", {"group": "b", "share": 0.8, "total": 100} | wrong, SIZES, NAMES)


def test_natural_has_the_shares_of_the_data():
    assert bias.counts("natural", {"total": 28}, SIZES, NAMES).tolist() == [10, 8, 6, 4]


def test_custom_is_the_table():
    assert bias.counts("custom", {"counts": {"a": 5, "d": 40}}, SIZES, NAMES).tolist() == [5, 0, 0, 40]
    for wrong in ({"z": 1}, {"a": -1}, {"a": 0}, {"a": 1.5}):
        with pytest.raises(ValueError, match="counts"):
            bias.counts("custom", {"counts": wrong}, SIZES, NAMES)


def test_unknown_bias_and_arguments_name_what_is_allowed():
    with pytest.raises(ValueError, match="'tail'; allowed are long_tail, group_share, natural, custom"):
        bias.counts("tail", {}, SIZES, NAMES)
    with pytest.raises(ValueError, match="long_tail.*factor"):
        bias.counts("long_tail", {"factor": 1}, SIZES, NAMES)


def test_apportion_gives_leftovers_to_the_largest_remainders():
    assert bias.apportion(10, [1, 1, 1], 10).tolist() == [4, 3, 3]
    assert bias.apportion(7, [0.5, 0.3, 0.2], 9).tolist() == [4, 2, 1]
    for total in range(1, 200):
        assert bias.apportion(total, SIZES, 280).sum() == total


def test_sets_are_disjoint_and_counted_right():
    split = draw(share=0.5)
    assert not set(split.biased) & set(split.reference)
    groups = np.repeat(np.arange(4), SIZES)
    counts = split.counts(groups, 4)
    assert counts["biased"].tolist() == bias.apportion(100, 0.1 ** np.linspace(0, 1, 4), 280).tolist()
    assert counts["reference"].tolist() == [13, 13, 12, 12]


def test_references_are_nested_and_the_biased_set_is_one():
    small, middle, large = draw(share=0.05), draw(share=0.1), draw(share=0.5)
    assert set(small.reference) < set(middle.reference) < set(large.reference)
    np.testing.assert_array_equal(small.biased, large.biased)


@pytest.mark.parametrize("family", ["digits-lt", "mnist-lt", "cifar10-lt", "cifar100-lt"])
def test_named_references_are_nested(family):
    drawn = []
    for size in ("-5", "" if family == "digits-lt" else "-10", "-25", "-50"):
        setting = SETTINGS[family + size]
        sizes = np.array(SOURCES[setting.source].group_sizes)
        drawn.append(bias.draw("x", setting, sizes, tuple(map(str, range(len(sizes))))))
    for smaller, larger in zip(drawn, drawn[1:], strict=False):
        assert set(smaller.reference) < set(larger.reference)
        np.testing.assert_array_equal(smaller.biased, larger.biased)


def test_draw_depends_on_the_seed_alone():
    assert draw().sha256 == draw().sha256
    assert draw().sha256 != draw(seed=1).sha256
    assert len(set(draw().biased) ^ set(draw(seed=1).biased)) > 10


def test_every_image_is_equally_likely_in_the_reference():
    chosen = Setting("x", "custom", {"counts": {"a": 10, "b": 10}}, 0.5)
    taken = np.zeros(40)
    for seed in range(400):
        taken[bias.draw("x", chosen, np.array([20, 20]), ("a", "b"), seed).reference] += 1
    assert taken.sum() == 400 * 10
    assert taken.min() > 60 and taken.max() < 145  # 100 expected, standard deviation 8.7


def test_stream_is_the_one_of_every_platform():
    """The first values were written down once; another NumPy or machine must draw the same."""
    assert store.seeded_order([0, 0], 12).tolist() == [11, 3, 2, 1, 8, 6, 0, 7, 4, 10, 5, 9]
    assert draw().sha256 == "f54c34bffe5634c05a7424d300151715c83cb2504c493e02551b91bd04389ae1"


def test_a_group_with_too_few_images():
    with pytest.raises(ValueError, match=r"43 biased and 2 reference images of group 'a'; allowed are 44"):
        bias.draw(
            "x", Setting("x", "custom", {"counts": {"a": 43, "b": 1}}, 0.1), np.array([44, 44]), ("a", "b")
        )


@pytest.mark.parametrize("share", [0.001, 0, -1, 1.5, float("nan"), "half"])
def test_reference_share_that_leaves_too_little(share):
    with pytest.raises(ValueError, match="reference_share"):
        draw(share=share)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", True, 2**32])
def test_wrong_seed(seed):
    with pytest.raises(ValueError, match="seed"):
        draw(seed=seed)


def test_a_split_refuses_overlap_and_empty_sets():
    one, two = np.array([0, 1]), np.array([1, 2])
    with pytest.raises(ValueError, match="reference: overlaps the biased set in 1 images, first 1"):
        Split("x", 0, {}, one, two)
    with pytest.raises(ValueError, match="reference.*N > 0"):
        Split("x", 0, {}, one, np.array([], np.int64))
    with pytest.raises(ValueError, match="biased.*unsorted"):
        Split("x", 0, {}, np.array([3, 2]), one)


def test_split_file_round_trip_and_its_errors(tmp_path):
    split, path = draw(), tmp_path / "splits" / "x.json"
    split.write(path)
    again = splits.read(path)
    assert again.sha256 == split.sha256 and again.definition == split.definition
    np.testing.assert_array_equal(again.biased, split.biased)
    assert [file.name for file in path.parent.iterdir()] == ["x.json"]

    record = json.loads(path.read_text())
    record["biased"][0] += 1
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="sha256"):
        splits.read(path)
    path.write_text('{"setting": "x", "biased": [1')
    with pytest.raises(ValueError, match="no split"):
        splits.read(path)
    with pytest.raises(FileNotFoundError, match="prepare"):
        splits.read(tmp_path / "other.json")


def test_hash_changes_with_any_index_and_any_definition():
    split = draw()
    for other in (
        Split("x", 0, split.definition, split.biased[1:], split.reference),
        Split("x", 0, split.definition, split.biased, split.reference[1:]),
        Split("x", 1, split.definition, split.biased, split.reference),
        Split("x", 0, split.definition | {"reference_share": 0.2}, split.biased, split.reference),
    ):
        assert other.sha256 != split.sha256
    renamed = Split("renamed", 0, split.definition, split.biased, split.reference)
    assert renamed.sha256 == split.sha256


def test_the_committed_manifest_is_what_the_code_writes(tmp_path):
    manifest.write(tmp_path / "manifest.json")
    assert (tmp_path / "manifest.json").read_text() == manifest.PATH.read_text()


def test_manifest_tells_what_is_not_known_and_how_to_make_it():
    row = manifest.row("celeba-5")
    assert row["sha256"] is None and row["made_by"].endswith("prepare celeba-5")
    assert (row["biased"], row["reference"]) == (162_000, 8_100)
    assert manifest.known_hash("celeba-5", 0) is None
    assert manifest.known_hash("digits-lt", 1) is None


def test_unknown_setting_lists_the_names():
    with pytest.raises(ValueError, match="'cifar-lt'; allowed are digits-lt-5, .*celeba-5"):
        bias.load("cifar-lt")


def test_notebook_parameters_choose_a_setting_or_the_readers_pair(tmp_path):
    empty = {
        "source": "",
        "biased": "",
        "reference": "",
        "biased_groups": "",
        "reference_groups": "",
        "run": "x",
    }
    made = bias.from_parameters({**empty, "setting": "digits-lt-5", "seed": 3, "root": "data"}, tmp_path)
    assert (made.split.setting, made.split.seed, len(made.split.reference)) == ("digits-lt-5", 3, 25)

    fill_folder(tmp_path / "many", ["a/1.png", "a/2.png", "b/3.png", "b/4.png"])
    fill_folder(tmp_path / "few", ["5.png", "6.png", "7.png", "8.png"], first_seed=7)
    (tmp_path / "few.csv").write_text("file,group\n5.png,b\n6.png,a\n7.png,a\n8.png,a\n")
    pair = {**empty, "biased": "many", "reference": "few", "root": "data", "size": 4}
    assert bias.from_parameters(pair, tmp_path).data.groups is None
    pair |= {"biased_groups": "folders", "reference_groups": "few.csv"}
    made = bias.from_parameters(pair, tmp_path)
    assert made.data.groups.tolist() == [0, 0, 1, 1, 1, 0, 0, 0] and made.data.images.shape[2:] == (4, 4)
    assert list((tmp_path / "data" / "arrays").glob("own-*/"))
    with pytest.raises(ValueError, match="biased, reference: only one is given"):
        bias.from_parameters({**pair, "reference": ""}, tmp_path)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"biased_groups": "folders"}, "biased_groups='folders': is of your own pair, not of a setting"),
        (
            {"reference_groups": "few.csv"},
            "reference_groups='few.csv': is of your own pair, not of a setting",
        ),
        (
            {"biased": "many", "reference": "few", "source": "there"},
            "source='there': is of a setting, not of",
        ),
    ],
)
def test_notebook_parameters_that_would_not_be_used_are_refused(given, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        bias.from_parameters({"setting": "digits-lt-5", "root": "data", **given}, tmp_path)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("long_tail", {"imbalance": 0.1, "total": 10**30}),
        ("group_share", {"group": "a", "share": 0.5, "total": 10**30}),
        ("natural", {"total": 281}),
        ("natural", {"total": True}),
    ],
)
def test_a_total_beyond_the_images_that_there_are(kind, arguments):
    with pytest.raises(ValueError, match=f"total: {arguments['total']}; allowed is an int from 1 to 280"):
        bias.counts(kind, arguments, SIZES, NAMES)


def test_counts_beyond_the_images_of_a_group():
    with pytest.raises(
        ValueError, match=r"counts: \{'a': 1000.*\}; allowed are ints from 0 to the group's images"
    ):
        bias.counts("custom", {"counts": {"a": 10**30, "b": 5}}, SIZES, NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"source": "digits", "bias": "natural", "bias": "custom"}', "bias is there twice"),
        (
            '{"source": "digits", "bias": "custom", "arguments": {"counts": {"0": 1, "0": 2}}}',
            "0 is there twice",
        ),
        ("[" * 200_000, "cannot be read"),
        ("[1, 2]", "cannot be read"),
    ],
)
def test_setting_files_that_say_too_much_or_nothing(text, message, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        bias.load(str(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize("ignored", [{"size": 16}, {"groups": "mine.csv"}])
def test_a_named_source_takes_neither_size_nor_groups(ignored, tmp_path):
    content = {"source": "digits", "bias": "natural", "arguments": {"total": 500}} | ignored
    (tmp_path / "mine.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="groups, size: .*; digits has its own, allowed is neither"):
        bias.load(str(tmp_path / "mine.json"))


@pytest.mark.parametrize("name", ["biased", "reference"])
@pytest.mark.parametrize("number", [1, 3])
def test_fewer_than_four_images_are_too_few_for_distances_between_sets(name, number):
    """Precision looks at the third neighbour of each image: it must not be found missing after a training."""
    sets = {"biased": np.arange(10), "reference": np.arange(10, 20), name: np.arange(20, 20 + number)}
    with pytest.raises(
        ValueError, match=f"{name}: {number} images; allowed are {distances.NEIGHBOURS + 1} or more"
    ):
        bias.Biased(bias.load().data, Split("x", 0, {}, **sets))


def test_own_setting_from_a_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(
        json.dumps({"source": "digits", "bias": "custom", "arguments": {"counts": {"0": 9, "1": 40}}})
    )
    # ten groups need at least ten reference images: 10 % of 49 are too few
    with pytest.raises(ValueError, match="reference_share: 0.1 of 49 images leaves 5"):
        bias.load(str(path))
    path.write_text(path.read_text().replace("}}}", '}}, "reference_share": 0.5}'))
    made = bias.load(str(path))
    assert made.split.setting == "mine"
    assert made.split.counts(made.data.groups, 10)["biased"].tolist() == [9, 40] + [0] * 8

    path.write_text('{"source": "digits", "bias": "natural", "totl": 5}')
    with pytest.raises(ValueError, match="totl.*allowed fields are source, bias"):
        settings.find(str(path))
    path.write_text('{"source": "digits", "bias": "natural", "arguments": [1]}')
    with pytest.raises(ValueError, match=r"arguments: \[1\]; allowed is a dict"):
        settings.find(str(path))
    with pytest.raises(FileNotFoundError, match="other.json"):
        settings.find(str(tmp_path / "other.json"))


def test_an_own_setting_cannot_take_the_name_of_a_known_one(tmp_path):
    """Its records would be read against the shares of the other one."""
    path = tmp_path / "digits-lt.json"
    counts = {str(digit): 50 for digit in range(10)}
    path.write_text(json.dumps({"source": "digits", "bias": "custom", "arguments": {"counts": counts}}))
    with pytest.raises(
        ValueError, match="digits-lt.json has the name of the setting digits-lt; allowed is any"
    ):
        bias.load(str(path))
    path = path.rename(tmp_path / "digits-equal.json")
    assert guard.batch_shares(bias.load(str(path)).split.setting, 0.5) is None


def test_a_named_source_is_no_folder_of_that_name(tmp_path):
    """Nor are class sub-folders, `folders`, one of that name; another source and table may lie beside the file."""
    for name in ("ffhq", "folders", "faces"):
        (tmp_path / name).mkdir()
    (tmp_path / "faces.csv").touch()
    path = tmp_path / "mine.json"
    path.write_text('{"source": "ffhq", "bias": "natural"}')
    assert settings.find(str(path)) == Setting("ffhq", "natural")
    path.write_text('{"source": "faces", "groups": "faces.csv", "bias": "natural"}')
    paths = {name: str(tmp_path / file) for name, file in {"source": "faces", "groups": "faces.csv"}.items()}
    assert settings.find(str(path)) == Setting(bias="natural", **paths)
