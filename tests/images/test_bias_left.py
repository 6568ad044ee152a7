"""What a ratio leaves of a bias, against mixtures whose exact ratio is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tiwlib.closed_form import One
from tiwlib.data.images import ImageData
from tiwlib.gaussians import ExactRatio, GaussianMixture
from tiwlib.measures.bias_left import bias_in_samples, bias_left, weighted_batch
from tiwlib.objectives import weight_and_correction

SIZES = {"biased": (2100, 600, 300), "reference": (400, 300, 300)}  # images of each group
MEANS = 0.6 * np.eye(3, 4)  # of the groups, in pixels of [-1, 1]
STD = 0.1  # of every pixel around them
PI = 0.25
CHANCE = 0.05  # of the bias: 256,000 noisy samples, means of groups that are known to 0.1 / sqrt(1000)


def exact() -> ExactRatio:
    shares = {name: tuple(np.array(sizes) / sum(sizes)) for name, sizes in SIZES.items()}
    densities = {name: GaussianMixture(part, tuple(map(tuple, MEANS)), STD) for name, part in shares.items()}
    return ExactRatio(densities["reference"], densities["biased"])


class OfImages:
    """The exact ratio, asked about images of 2 x 2 pixels."""

    def log_ratio(self, x, sigma):
        return exact().log_ratio(x.flatten(1).double(), sigma)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    groups = np.concatenate([np.repeat(range(3), sizes) for sizes in SIZES.values()])
    pixels = MEANS[groups] + STD * rng.standard_normal((len(groups), 4))
    stored = np.clip(np.rint((pixels + 1) * 127.5), 0, 255).astype(np.uint8).reshape(-1, 1, 2, 2)
    data = ImageData("mixture", stored, groups, ("a", "b", "c"), "")
    n = sum(SIZES["biased"])
    split = SimpleNamespace(biased=np.arange(n), reference=np.arange(n, len(groups)))
    fair, biased = (np.array(SIZES[name]) / sum(SIZES[name]) for name in ("reference", "biased"))
    return SimpleNamespace(data=data, split=split, shares=lambda: {"biased": biased, "reference": fair})


def test_the_exact_ratio_leaves_nothing_at_any_level(images):
    for level in (0.0, 0.3, 1.0, 3.0):
        assert abs(bias_left(OfImages(), images, level, PI)["both"]) < CHANCE, level


def test_the_weight_alone_debiases_where_the_group_is_seen_and_not_under_noise(images):
    assert abs(bias_left(OfImages(), images, 0.0, PI)["weight"]) < CHANCE  # white noise of 0.1 hides no group
    assert bias_left(OfImages(), images, 3.0, PI)["weight"] == pytest.approx(1, abs=CHANCE)


def test_a_ratio_that_knows_nothing_leaves_the_bias_of_the_batches(images):
    for name, left in bias_left(One(), images, 3.0, PI, draws=1).items():
        assert left == pytest.approx(1, abs=CHANCE), name


def test_the_bias_of_samples_is_a_place_between_fair_and_batches(images):
    fair, biased = (images.shares()[name] for name in ("reference", "biased"))
    batches = PI * fair + (1 - PI) * biased
    for left in (0, 0.3, 1, 1.2):
        assert bias_in_samples(fair + left * (batches - fair), images, PI) == pytest.approx(left, abs=1e-12)


def test_weighted_batches_have_the_reference_shares_without_noise(images):
    shares, _ = weighted_batch(OfImages(), images, 0.0, PI)
    assert np.allclose(shares, images.shares()["reference"], atol=1e-3)
    shares, _ = weighted_batch(One(), images, 0.0, PI)
    batches = PI * images.shares()["reference"] + (1 - PI) * images.shares()["biased"]
    assert np.allclose(shares, batches, atol=1e-6)  # log r is single precision


def test_the_mean_of_the_corrected_target_is_that_of_the_weighted_noisy_sample():
    """Stein's identity, with the loss's own weight and correction."""
    generator = torch.Generator().manual_seed(0)
    ratio, n, level = exact(), 200_000, 0.5
    batch = ratio.p_bias.mix(ratio.p_data, PI)
    x0 = batch.sample(n, generator, dtype=torch.float64)
    sigma = torch.full((n,), level, dtype=torch.float64)
    x = x0 + level * torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    w, correction = weight_and_correction(ratio, x, sigma, PI)
    target = (w[:, None] * (x0 + level**2 * correction)).mean(0)
    noisy = (w[:, None] * x).mean(0)
    assert torch.allclose(target, noisy, atol=0.005)  # the noise of a mean: 0.5 / sqrt(200,000) = 0.001
    assert not torch.allclose((w[:, None] * x0).mean(0), noisy, atol=0.005)
