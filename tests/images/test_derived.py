"""Images computed from named ones: what they look like, which hue they have, and who reads it."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
import torch
from sample_images import SHARED

from tiwlib import data as datasets
from tiwlib.data import SOURCES, ImageData, bias, derived
from tiwlib.data.derived import Derived
from tiwlib.measures import classifier, judges, samples

needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST").exists(), reason="no MNIST beside the checkout")
RED, BLUE = (np.array(colour) for colour in derived.HUES.values())


class Brightness(torch.nn.Module):
    """Stands in for a classifier of digits: two classes, dark and bright, sure of both."""

    features = torch.nn.Flatten()

    def forward(self, x):
        bright = x.mean((1, 2, 3)) > 0
        return 20 * torch.stack([~bright, bright], 1).float()


def grey(*values, side=4):
    return np.array(values, np.uint8)[:, None, None, None] * np.ones((1, 1, side, side), np.uint8)


class TestPixels:
    def test_halving_is_the_mean_of_two_by_two(self):
        image = np.array([[0, 4, 255, 255], [8, 12, 255, 254], [1, 0, 9, 9], [0, 0, 9, 9]], np.uint8)
        assert derived.shrunk(image[None, None], np.zeros(1), block=2).tolist() == [[[[6, 255], [0, 9]]]]
        many = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28), np.uint8)
        assert derived.shrunk(many, np.zeros(3), block=2).shape == (3, 1, 14, 14)

    def test_a_margin_is_cut_before_the_means_are_taken(self):
        image = np.zeros((1, 1, 8, 8), np.uint8)
        image[0, 0, 1, 1], image[0, 0, 2:5, 2:5], image[0, 0, 0, 0] = (
            90,
            18,
            255,
        )  # the last lies in the margin
        image[0, 0, 6, 6] = 255
        cut = derived.shrunk(image, np.zeros(1), block=3, margin=1)
        assert cut.shape == (1, 1, 2, 2)
        # 90 and four times 18, twice 18 to the right and below, once 18 and 255 in the last, over nine pixels
        assert cut[0, 0].tolist() == [[18, 4], [4, 30]]

    def test_a_painted_image_is_grey_times_its_hue(self):
        images = derived.painted(grey(200, 100), np.array([0, 1]))
        assert images.dtype == np.uint8 and images.shape == (2, 3, 4, 4)
        assert images[0, :, 0, 0].tolist() == [200, 70, 20] and images[1, :, 0, 0].tolist() == [10, 60, 100]
        assert (images.max(1) == grey(200, 100)[:, 0]).all(), "the brightest channel is the grey image"

    def test_what_is_not_grey_is_not_painted(self):
        with pytest.raises(ValueError, match="images: 3 channels; allowed is 1"):
            derived.painted(np.zeros((2, 3, 4, 4), np.uint8), np.array([0, 1]))


class TestHues:
    def test_half_of_each_class_have_each_hue_by_a_seeded_order(self):
        classes = np.repeat([0, 1, 2], [10, 7, 1])
        hues = derived.hues_of(classes)
        counts = [np.bincount(hues[classes == c], minlength=2).tolist() for c in range(3)]
        assert counts == [[5, 5], [4, 3], [1, 0]]
        assert (hues == derived.hues_of(classes)).all()
        assert (np.diff(hues[:10]) == 0).sum() > 0, "in no regular turn"

    def test_hues_are_those_of_every_platform(self):
        """Written down once: another NumPy or machine must draw the same."""
        assert derived.hues_of(np.zeros(12, int)).tolist() == [0, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0]


class TestColouredDigits:
    data = datasets.load("digits-colour")

    def test_each_image_is_there_once_in_its_hue(self):
        assert self.data.images.shape == (1797, 3, 8, 8) and self.data.group_names == ("red", "blue")
        assert tuple(self.data.group_sizes()) == SOURCES["digits-colour"].group_sizes == (901, 896)
        assert (np.diff(self.data.groups) >= 0).all() and self.data.coloured.grey.name == "digits"
        brightest = sorted(image.tobytes() for image in self.data.images.max(1))
        assert brightest == sorted(image.tobytes() for image in datasets.load("digits").images)

    def test_pixels_are_in_the_hue_of_the_group(self):
        lit = self.data.images.max((1, 2, 3)) > 0
        for group, colour in enumerate((RED, BLUE)):
            images = self.data.images[lit & (self.data.groups == group)].astype(float)
            expected = images.max(1, keepdims=True) * colour[:, None, None]
            assert np.abs(images - expected).max() <= 0.5

    def test_no_hue_is_of_one_digit(self):
        grey_ones = datasets.load("digits")
        digit = {image.tobytes(): g for image, g in zip(grey_ones.images, grey_ones.groups, strict=True)}
        found = [digit[image[None].tobytes()] for image in self.data.images.max(1)]
        table = np.histogram2d(found, self.data.groups, (10, 2))[0]
        assert np.abs(table[:, 0] - table[:, 1]).max() <= 3  # equal images of two digits aside

    def test_the_setting_has_nine_tenths_of_red_and_an_even_reference(self):
        images = bias.load("digits-colour-90")
        counts = images.split.counts(images.data.groups, 2)
        assert counts["biased"].tolist() == [450, 50] and counts["reference"].tolist() == [25, 25]


@pytest.mark.parametrize(
    ("name", "biased", "reference"),
    [
        ("mnist8-colour-90", [9000, 1000], [250, 250]),
        ("mnist8-digit-colour", [4650, 2960, 1150, 1240], [125] * 4),
        ("mnist14-colour-80", [8000, 2000], [250, 250]),
        ("mnist14-colour-90", [9000, 1000], [250, 250]),
        ("mnist14-digit-colour", [4650, 2960, 1150, 1240], [125] * 4),
    ],
)
def test_the_counts_of_the_settings(name, biased, reference):
    """From the sizes alone, without an image."""
    setting = bias.settings.find(name)
    source = SOURCES[setting.source]
    split = bias.draw(name, setting, np.array(source.group_sizes), source.group_names)
    groups = np.repeat(np.arange(len(biased)), source.group_sizes)
    counts = split.counts(groups, len(biased))
    assert counts["biased"].tolist() == biased and counts["reference"].tolist() == reference


@needs_mnist
def test_the_margin_of_the_smallest_mnist_holds_hardly_any_ink(tmp_path_factory):
    mnist = datasets.load("mnist", tmp_path_factory.getbasetemp() / "mnist", source=SHARED)
    ink = np.asarray(mnist.images[::60], float)
    assert ink[:, :, 2:-2, 2:-2].sum() / ink.sum() > 0.99


@needs_mnist
@pytest.mark.parametrize("side", [8, 14])
@pytest.mark.parametrize("kind", ["", "-colour", "-digit-colour"])
def test_sets_derived_from_mnist(side, kind, tmp_path_factory):
    name = f"mnist{side}{kind}"
    root = tmp_path_factory.getbasetemp() / "mnist"  # built once for all
    data, mnist = (datasets.load(n, root, source=SHARED) for n in (name, "mnist"))
    assert tuple(data.group_sizes()) == SOURCES[name].group_sizes
    assert data.images.shape == (60_000, *SOURCES[name].shape) and isinstance(data.images, np.memmap)
    assert data.name == name
    assert data.group_names == (SOURCES[name].group_names or mnist.group_names)
    how = {8: {"block": 3, "margin": 2}, 14: {"block": 2}}[side]
    small = derived.shrunk(mnist.images[:1], np.zeros(1), **how)[0]
    first = data.images.max(1, keepdims=True)  # of one channel, or of the brightest of a hue
    assert (first == small).all((1, 2, 3)).any()


def test_the_name_says_where_the_base_is_from_and_another_base_is_another_array(tmp_path):
    halves = Derived(
        title="", base="mnist", base_sizes=(2, 2), shape=(1, 4, 4), pixels=partial(derived.shrunk, block=2)
    )
    rng, arrays = np.random.default_rng(0), []
    for seed in "01":
        path = tmp_path / f"{seed}.npy"
        np.save(path, rng.integers(0, 256, (4, 1, 8, 8), np.uint8))
        images = np.load(path, mmap_mode="r")
        base = ImageData("mnist from x.zip", images, np.array([0, 0, 1, 1]), ("0", "1"), 64 * seed)
        arrays.append(halves.of(base, "mnist14", tmp_path))
    assert arrays[0].name == "mnist14 from x.zip" and arrays[0].sha256 != arrays[1].sha256
    assert halves.of(base, "mnist14", tmp_path).sha256 == arrays[1].sha256


class TestHueJudge:
    def judge(self, group_of=((0, 1), (0, 1)), names=("red", "blue")):
        hues = np.array(list(derived.HUES.values()))
        return judges.HueJudge(Brightness(), names, group_of=np.array(group_of), hues=hues)

    def test_it_reads_the_hue_off_the_pixels_in_bytes_and_numbers(self):
        images = derived.painted(grey(250, 250, 40, 40), np.array([0, 1, 0, 1]))
        named = self.judge().probabilities(images)
        assert named.argmax(1).tolist() == [0, 1, 0, 1] and named.amax(1).min() > 0.97
        numbers = torch.from_numpy(images).float() / 127.5 - 1
        assert torch.allclose(self.judge().probabilities(numbers), named, atol=1e-6)

    def test_between_two_hues_it_is_unsure(self):
        both = (derived.painted(grey(100), np.array([0])) + derived.painted(grey(100), np.array([1]))) // 2
        black, white = np.zeros((1, 3, 4, 4), np.uint8), np.full((1, 3, 4, 4), 255, np.uint8)
        for image in (both, black, white):
            assert self.judge().probabilities(image).amax(1).item() < 0.65
        quarter = np.rint(0.75 * 200 * RED + 0.25 * 200 * BLUE).astype(np.uint8)
        image = np.broadcast_to(quarter[None, :, None, None], (1, 3, 4, 4)).copy()
        assert self.judge().probabilities(image)[0].tolist() == pytest.approx([0.75, 0.25], abs=0.01)

    def test_a_faint_tint_of_the_ground_has_no_say(self):
        """One red stroke on a ground of 63 pixels in a twentieth of blue: their mean colour is mostly blue."""
        image = np.rint(np.broadcast_to(10 * BLUE[:, None, None], (3, 8, 8))).astype(np.uint8).copy()
        image[:, 3, 4] = np.rint(200 * RED)
        assert image.mean((1, 2))[2] > image.mean((1, 2))[0]
        assert self.judge().probabilities(image[None])[0].tolist() == pytest.approx([1, 0], abs=0.02)

    def test_it_names_both_of_two_crossed_attributes(self):
        judge = self.judge([[0, 2], [1, 3]], ("dark, red", "bright, red", "dark, blue", "bright, blue"))
        images = derived.painted(grey(60, 250, 60, 250), np.array([0, 0, 1, 1]))
        named = judge.probabilities(images)
        assert named.argmax(1).tolist() == [0, 1, 2, 3] and named.amax(1).min() > 0.9

    def test_a_hue_is_sure_whatever_is_shown_and_a_class_is_not(self):
        """Legibility is precision's: where groups are hues alone, a scribble in one hue has that hue for certain."""

        class Guess(Brightness):
            def forward(self, x):
                return torch.zeros(len(x), 2)

        hues = np.array(list(derived.HUES.values()))
        scribble = derived.painted(grey(200), np.array([1]))
        judge = judges.HueJudge(Guess(), ("red", "blue"), group_of=np.array([[0, 1]] * 2), hues=hues)
        named = judge.probabilities(scribble)
        assert named.argmax(1).item() == 1 and named.amax().item() > 0.99
        crossed = judges.HueJudge(Guess(), tuple("abcd"), group_of=np.array([[0, 1], [2, 3]]), hues=hues)
        assert crossed.probabilities(scribble).amax().item() == pytest.approx(0.5, abs=0.01)

    def test_its_features_are_those_of_the_grey_image(self):
        images = derived.painted(grey(200, 100), np.array([0, 1]))
        expected = torch.from_numpy(grey(200, 100)).double().flatten(1) / 127.5 - 1
        assert torch.allclose(self.judge().features(images), expected, atol=1e-9)

    @pytest.mark.parametrize("shape", [(2, 1, 4, 4), (2, 48)])
    def test_images_without_colour_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"x has shape .*: a hue is read off images of 3 channels"):
            self.judge().probabilities(torch.zeros(shape))

    def test_all_settings_of_one_grey_set_share_its_classifier(self, monkeypatch):
        fitted_on = []

        def fit_once(data, device):
            fitted_on.append(data.name)
            network = classifier.Classifier(1, 10).eval()
            return classifier.Fitted(network=network, accuracy=1.0, sha256="", new=True)

        monkeypatch.setattr(classifier, "fit_once", fit_once)
        plain, coloured = datasets.load("digits"), datasets.load("digits-colour")
        assert isinstance(judges.of_data(plain)[0], judges.ClassifierJudge)
        judge, _ = judges.of_data(coloured)
        assert isinstance(judge, judges.HueJudge) and fitted_on == ["digits", "digits"]
        rows = np.arange(0, 1797, 30)
        assert (samples.probabilities(judge, coloured.images, rows).argmax(1) == coloured.groups[rows]).all()


class TestBadSettings:
    def load(self, tmp_path, **changes):
        content = {"source": "digits-colour", "bias": "group_share", "reference_share": 0.1}
        content |= {"arguments": {"group": "red", "share": 0.9, "total": 500} | changes.pop("arguments", {})}
        (tmp_path / "mine.json").write_text(json.dumps(content | changes))
        return bias.load(str(tmp_path / "mine.json"))

    def test_a_hue_asked_of_images_without_colour(self, tmp_path):
        with pytest.raises(ValueError, match="group: 'red'; allowed is one of at least two, here 0, 1, 2"):
            self.load(tmp_path, source="digits")

    @pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
    def test_a_hue_share_outside_of_0_to_1(self, share, tmp_path):
        with pytest.raises(ValueError, match=rf"share: {share}; allowed is a number in \(0, 1\)"):
            self.load(tmp_path, arguments={"share": share})

    def test_a_hue_that_is_short_of_images(self, tmp_path):
        with pytest.raises(ValueError, match="mine takes 900 biased and 50 reference images of group 'red'"):
            self.load(tmp_path, arguments={"total": 1000})

    def test_crossed_counts_that_are_short_of_images(self):
        setting = bias.settings.find("mnist14-digit-colour")
        source, counts = SOURCES[setting.source], setting.arguments["counts"]
        sizes = np.array(source.group_sizes)
        more = dataclasses.replace(setting, arguments={"counts": counts | {"5 to 9, blue": int(sizes[3])}})
        with pytest.raises(ValueError, match="reference images of group '5 to 9, blue'; allowed are"):
            bias.draw("mine", more, sizes, source.group_names)
        unknown = dataclasses.replace(setting, arguments={"counts": counts | {"5 to 9, green": 5}})
        with pytest.raises(
            ValueError, match="counts: unknown group '5 to 9, green'; allowed are 0 to 4, red"
        ):
            bias.draw("mine", unknown, sizes, source.group_names)
