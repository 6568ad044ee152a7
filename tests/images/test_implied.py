"""The shares that a ratio sets for the samples, against mixtures whose exact ratio is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tiwlib.closed_form import One
from tiwlib.data.images import ImageData
from tiwlib.gaussians import ExactRatio, GaussianMixture
from tiwlib.measures import implied
from tiwlib.objectives import weight_and_correction

SIZES = {"biased": (2100, 600, 300), "reference": (400, 300, 300)}  # images of each group
MEANS = 0.6 * np.eye(3, 4)  # of the groups, in pixels of [-1, 1]
STD = 0.1  # of every pixel around them
PI = 0.25
CHANCE = 0.03  # three standard deviations of a share at sigma = 3: 3 / sqrt(64 * 4000) of noise over means 0.85 apart


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
    return SimpleNamespace(data=data, split=split)


def test_shares_of_a_mixture_of_means_are_found_again():
    shares = np.array([0.5, 0.2, 0.3])
    assert np.allclose(implied.shares_of_mean(shares @ MEANS, MEANS), shares, atol=1e-12)


def test_the_exact_ratio_aims_at_the_unbiased_shares_at_every_level(images):
    fair = np.array(SIZES["reference"]) / 1000
    for level in (0.0, 0.3, 1.0, 3.0):
        shares = implied.implied(OfImages(), images, level, PI)
        assert np.abs(shares["both"] - fair).max() < CHANCE, level


def test_the_weight_alone_debiases_where_the_group_is_seen_and_not_under_noise(images):
    fair, biased = np.array(SIZES["reference"]) / 1000, np.array(SIZES["biased"]) / 3000
    batches = PI * fair + (1 - PI) * biased
    clean = implied.implied(OfImages(), images, 0.0, PI)["weight"]
    noisy = implied.implied(OfImages(), images, 3.0, PI)["weight"]
    assert np.allclose(clean, fair, atol=1e-3)  # white noise of 0.1 hides no group
    assert np.abs(noisy - batches).max() < 0.02


def test_a_ratio_that_knows_nothing_leaves_the_shares_of_the_batches(images):
    batches = PI * np.array(SIZES["reference"]) / 1000 + (1 - PI) * np.array(SIZES["biased"]) / 3000
    shares = implied.implied(One(), images, 0.3, PI, draws=4)
    assert np.allclose(shares["weight"], batches, atol=1e-6)  # torch.ones is single precision
    assert np.abs(shares["both"] - batches).max() < CHANCE


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
