"""The control rows: real images through the judge, and at which noise levels a group is decided."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from tiwlib import gaussians
from tiwlib.data import ImageData, bias
from tiwlib.measures import classifier, control, decided
from tiwlib.measures.control import of_real_images
from tiwlib.measures.samples import balanced
from tiwlib.noise import LogNormal, sampling_grid
from tiwlib.plots import decided as drawn


class Bright:
    """Names an image by its brightness, 0 or 1, and is wrong about those of brightness 7."""

    group_names = ("dark", "bright")

    def probabilities(self, x):
        bright = torch.as_tensor(x).float().mean((1, 2, 3)) > 100
        return torch.stack([~bright, bright], 1).double()

    def features(self, x):
        return torch.as_tensor(x).double().flatten(1)


@pytest.fixture(scope="module")
def images():
    """400 images of two groups, each with a noise of its own; a few bright ones are painted dark."""
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 200)
    pixels = rng.integers(0, 50, (400, 1, 4, 4)) + 150 * groups[:, None, None, None]
    pixels[380:] = rng.integers(0, 50, (20, 1, 4, 4))  # a tenth of the second group
    data = ImageData("made up", pixels.astype(np.uint8), groups, ("dark", "bright"), "hash")
    setting = bias.Setting("digits", "group_share", {"group": "dark", "share": 0.9, "total": 100}, 0.2)
    return bias.Biased(data, bias.draw("s", setting, data.group_sizes(), data.group_names, 0))


def test_the_control_has_the_shares_that_are_asked_for(images):
    found = of_real_images(images, Bright(), np.array([0.75, 0.25]), n=40)
    assert found["n_samples"] == 40
    wrong = found["named_wrongly"]
    assert found["group_shares"] == pytest.approx([0.75 + wrong, 0.25 - wrong]), (
        "only the judge moves the shares"
    )
    assert found["total_variation"] == pytest.approx(0.25 + wrong)


def test_the_judges_errors_are_counted(images):
    held = classifier.split(400)[1]
    rows = held[images.data.groups[held] == 1]
    found = of_real_images(images, Bright(), np.array([0.0, 1.0]), n=1000)
    assert found["n_samples"] == len(rows)
    assert found["named_wrongly"] == pytest.approx((rows >= 380).mean()) and (rows >= 380).any()


def test_no_image_is_compared_with_itself(images, monkeypatch):
    compared, measure = {}, control.of_samples

    def spy(samples, *, real, training, **options):
        for name, part in (("control", samples), ("real", real), ("training", training)):
            compared[name] = {image.tobytes() for image in part}
            assert len(compared[name]) == len(part), "an image is known by its pixels"
        return measure(samples, real=real, training=training, **options)

    monkeypatch.setattr(control, "of_samples", spy)
    found = of_real_images(images, Bright(), np.array([0.5, 0.5]), n=40)
    assert len(compared["control"]) == 40 and len(compared["real"]) == found["n_real"]
    assert not compared["control"] & compared["real"] and not compared["control"] & compared["training"]
    split, pixels = images.split, images.data.images
    observed = {image.tobytes() for part in (split.biased, split.reference) for image in pixels[part]}
    assert compared["training"] == observed - compared["control"] != observed, "some are among the control's"
    few = of_real_images(images, Bright(), np.array([0.5, 0.5]), n=20)
    assert few["n_real"] > found["n_real"] - 40 and few["n_samples"] == 20
    same = of_real_images(images, Bright(), np.array([0.5, 0.5]), n=20, seed=0)
    assert same == few and of_real_images(images, Bright(), np.array([0.5, 0.5]), n=20, seed=1) != few


def test_a_subset_can_be_bounded():
    groups = np.repeat([0, 1], [10, 4])
    assert len(balanced(groups, np.array([0.5, 0.5]))) == 8
    rows = balanced(groups, np.array([0.5, 0.5]), 6)
    assert np.bincount(groups[rows]).tolist() == [3, 3]


# ---------------------------------------------------------------- where a group is decided


def bits(separation: float, deviation: float) -> float:
    """I(g; x) as a share of log 2, of two equal normals: by quadrature of the entropy of the posterior."""
    x = np.linspace(-12 * deviation - separation, 12 * deviation + separation, 20_001)
    densities = [stats.norm.pdf(x, at, deviation) for at in (-separation / 2, separation / 2)]
    mixture = sum(densities) / 2
    posterior = densities[0] / (2 * mixture + 1e-300)
    entropy = stats.entropy([posterior, 1 - posterior], base=2, axis=0)
    return 1 - float(np.trapezoid(mixture * entropy, x))


def exact_logits(x, sigma):
    """Of the 2-D example's modes with equal shares; sigma is one level."""
    variance = 1 + sigma[0] ** 2
    return -(torch.cdist(x, torch.tensor(gaussians.MODES, dtype=x.dtype)) ** 2) / (2 * variance)


@pytest.fixture(scope="module")
def curve():
    generator = torch.Generator().manual_seed(1)
    n, modes = 4000, torch.tensor(gaussians.MODES, dtype=torch.float64)
    groups = torch.arange(n) % 2
    x0 = modes[groups] + torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return decided.information(exact_logits, x0, groups, levels=9)


def test_the_information_of_the_2_d_example_is_that_of_quadrature(curve):
    """Two modes at distance 4 sqrt 2; the tolerance is four standard errors of 4,000 log posteriors."""
    for sigma, information in zip(curve.sigma, curve.information, strict=True):
        assert information == pytest.approx(bits(4 * 2**0.5, (1 + sigma**2) ** 0.5), abs=0.03)
    accuracy = stats.norm.cdf(2 * 2**0.5 / (1 + curve.sigma.iloc[4] ** 2) ** 0.5)
    assert curve.accuracy.iloc[4] == pytest.approx(accuracy, abs=0.03)


def test_groups_count_alike_whatever_their_number():
    """Three quarters of the samples are in one group; a flat posterior has no information all the same."""
    groups = torch.tensor([0, 0, 0, 1]).repeat(10)
    flat = decided.information(
        lambda x, sigma: torch.zeros(len(x), 2), torch.zeros(40, 1, 2, 2), groups, levels=3
    )
    assert flat.information.tolist() == pytest.approx([0, 0, 0]) and flat.accuracy.tolist() == [0.5] * 3
    known = decided.information(lambda x, sigma: 50 * x[:, 0, 0], groups_as_pixels(groups), groups, levels=3)
    assert known.information.iloc[-1] == pytest.approx(1, abs=1e-6)


def groups_as_pixels(groups):
    """The pixel of the group is 1, the other 0."""
    return torch.nn.functional.one_hot(groups, 2).float()[:, None, None, :]


def test_where_it_is_decided_and_what_is_spent_there():
    sigma = np.geomspace(0.02, 80, 101)
    information = np.clip(
        1 - (np.log(sigma) - np.log(1.0)) / (np.log(10.0) - np.log(1.0)), 0, 1
    )  # falls from 1 to 10
    found = decided.where_decided(
        pd.DataFrame({"sigma": sigma, "information": information}), LogNormal(), 0.5, steps=18
    )
    assert found["sigma_low"] == pytest.approx(10**0.1, rel=0.02)  # nine tenths are known
    assert found["sigma_high"] == pytest.approx(10**0.9, rel=0.02)
    levels = LogNormal().sample(200_000)
    inside = ((levels > 10**0.1) & (levels < 10**0.9)).float().mean().item()
    assert found["training_share"] == pytest.approx(inside, abs=0.005)
    assert found["training_share_above"] == pytest.approx((levels > 10**0.9).float().mean().item(), abs=0.003)
    grid = sampling_grid(18, 0.5)
    assert found["sampler_levels"] == ((grid > 10**0.1) & (grid < 10**0.9)).sum()


def test_the_oracle_learns_a_group_that_can_be_seen_and_no_other():
    """Images that are bright or dark; and images whose groups mean nothing."""
    torch.manual_seed(0)
    groups = torch.arange(200) % 2
    x0 = 0.2 * torch.randn(200, 1, 8, 8) + (groups - 0.5)[:, None, None, None]
    network = decided.oracle(x0, groups, steps=60, batch_size=32)
    seen = decided.information(network.logits, x0, groups, levels=5)
    assert seen.information.iloc[-1] > 0.5 > 0.2 > seen.information.iloc[0]
    blind = decided.oracle(torch.randn(200, 1, 8, 8), groups, steps=20, batch_size=32)
    fresh = decided.information(blind.logits, torch.randn(100, 1, 8, 8), groups[:100], levels=5)
    assert (fresh.information < 0.1).all()


def test_the_figure_shows_information_density_and_levels(curve):
    figure = drawn(curve, LogNormal(), 0.5)
    top, bottom = figure.axes
    assert (
        bottom.get_xscale() == "log" and "information about the group" in top.get_legend_handles_labels()[1]
    )
    rugs = next(line for line in bottom.lines if line.get_marker() == "|")
    grid = sampling_grid(18, 0.5)[:-1]
    assert len(rugs.get_xdata()) == ((grid >= 0.02) & (grid <= 80)).sum()
