"""Measures against cases whose answer is known."""

import numpy as np
import pytest
import torch

from tiwlib.data import bias
from tiwlib.gaussians import EXACT_RATIO, P_BIAS
from tiwlib.measures import distances, metrics


class Scaled:
    """log r_hat = log r + c: the error of r is (e^c - 1)^2 E r^2, that of its score is zero."""

    def __init__(self, c):
        self.c = c

    def log_ratio(self, x, sigma):
        return EXACT_RATIO.log_ratio(x, sigma) + self.c


def test_the_exact_ratio_has_no_error_and_a_scaled_one_a_known_error():
    exact = metrics.ratio_errors(EXACT_RATIO, EXACT_RATIO, n=100, times=5)
    assert (exact["ratio"] == 0).all() and (exact["score"] == 0).all()
    assert metrics.clean_ratio_error(EXACT_RATIO, EXACT_RATIO, n=100) == 0
    scaled = metrics.clean_ratio_error(Scaled(0.1), EXACT_RATIO, n=100_000)
    # E_bias r^2 by quadrature over the axis of the modes' sum, on which alone r depends
    axis = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    x = torch.cartesian_prod(axis[::20], axis[::20])
    zero = torch.zeros(len(x))
    r2 = (2 * EXACT_RATIO.log_ratio(x, zero) + P_BIAS.log_prob(x, zero)).exp().sum() * (20 * 24 / 4000) ** 2
    assert scaled == pytest.approx((np.exp(0.1) - 1) ** 2 * r2.item(), rel=0.02)  # 100,000 samples
    assert (metrics.ratio_errors(Scaled(0.1), EXACT_RATIO, n=100, times=5)["score"] < 1e-9).all()


@pytest.mark.parametrize("i", [0, 3])
def test_the_error_of_one_against_quadrature(i):
    """E (1 - r)^2 and E sigma^2 ||grad log r||^2 under p_bias^sigma at VP times t = (i + 1/2) / 5."""

    class One:
        def log_ratio(self, x, sigma):
            return 0 * x.sum(1)

    errors = metrics.ratio_errors(One(), EXACT_RATIO, n=40_000, times=5)
    level = float(np.sqrt(np.exp(9.95 * ((i + 0.5) / 5) ** 2 + 0.1 * (i + 0.5) / 5) - 1))
    assert errors["t"][i] == pytest.approx((i + 0.5) / 5) and errors["sigma"][i] == pytest.approx(
        level, rel=1e-5
    )
    reach = 2 + 6 * (1 + level**2) ** 0.5
    axis = torch.linspace(-reach, reach, 301, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    sigma = torch.full((len(x),), level, dtype=torch.float64)
    p = P_BIAS.log_prob(x, sigma).exp() * (axis[1] - axis[0]) ** 2
    ratio = (p * (EXACT_RATIO.log_ratio(x, sigma).exp() - 1) ** 2).sum()
    score = (p * level**2 * EXACT_RATIO.grad_log_ratio(x, sigma).square().sum(1)).sum()
    assert errors["ratio"][i] == pytest.approx(ratio.item(), rel=0.05)  # 40,000 samples
    assert errors["score"][i] == pytest.approx(
        score.item(), rel=0.15
    )  # rare points between the modes carry it


def test_distances_of_shares():
    assert metrics.total_variation(np.array([0.8, 0.2]), np.array([0.5, 0.5])) == pytest.approx(0.3)
    assert metrics.fairness_discrepancy(np.array([0.9, 0.1]), np.array([0.5, 0.5])) == pytest.approx(
        0.32**0.5
    )


class Oracle:
    """The exact ratio of clean digits: that of the shares of the image's own group."""

    def __init__(self, made):
        counts = made.split.counts(made.data.groups, 10)
        share = {name: c / c.sum() for name, c in counts.items()}
        self.log_r = np.log(share["reference"] / share["biased"])
        self.group_of = {made.data.images[i].tobytes(): g for i, g in enumerate(made.data.groups)}

    def log_ratio(self, x, sigma):
        images = distances.to_uint8(x)
        return torch.tensor([self.log_r[self.group_of[image.tobytes()]] for image in images])


def test_weights_of_the_exact_ratio_make_the_shares_equal():
    made = bias.load("digits-lt")

    class One:
        def log_ratio(self, x, sigma):
            return torch.zeros(len(x))

    assert metrics.can_weigh(made)
    assert metrics.variation_after_weighting(Oracle(made), made) < 1e-6
    biased = made.split.counts(made.data.groups, 10)["biased"] / 500
    assert metrics.variation_after_weighting(One(), made) == pytest.approx(
        metrics.total_variation(biased, np.full(10, 0.1)), abs=1e-6
    )


def test_the_spread_of_weights_is_that_of_the_exact_ratio():
    """In the plane log w is known at every point; shares of bins against a direct count of the same density."""
    x0 = P_BIAS.sample(20_000, torch.Generator().manual_seed(1))
    table = metrics.weights_of(EXACT_RATIO, x0, 0.5, sigmas=(0.0, 3.0), most=20_000)
    assert table.groupby("sigma").share.sum().tolist() == pytest.approx([1, 1])
    for sigma in (0.0, 3.0):
        fresh = P_BIAS.sample(20_000, torch.Generator().manual_seed(2))
        fresh = fresh + sigma * torch.randn(fresh.shape, generator=torch.Generator().manual_seed(3))
        r = EXACT_RATIO.log_ratio(fresh, torch.full((20_000,), sigma)).exp().double()
        below = (r / (0.5 * r + 0.5) < 1).double().mean().item()
        part = table[table.sigma == sigma]
        found = part.share[part.log10_w < 0].sum()  # w < 1 = 10^0, an edge
        assert found == pytest.approx(below, abs=0.014)  # 3 standard errors of the two counts


def test_weights_beyond_the_bins_are_counted_at_the_ends():
    class Tiny:
        def log_ratio(self, x, sigma):
            return torch.full((len(x),), -100.0)

    table = metrics.weights_of(Tiny(), torch.zeros(10, 2), 0.0, sigmas=(1.0,))
    assert table.share.iloc[0] == 1 and table.log10_w.iloc[0] == -6
