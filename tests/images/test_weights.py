"""What a ratio's weights do, against ratios that are known."""

import dataclasses

import numpy as np
import pytest
import torch

from tiwlib.closed_form import One
from tiwlib.data import bias
from tiwlib.gaussians import EXACT_RATIO, P_BIAS
from tiwlib.measures import distances, shares, weights
from tiwlib.noise import LogNormal


class Oracle:
    """The exact ratio of clean digits: that of the shares of the image's own group."""

    def __init__(self, images):
        share = images.shares()
        self.log_r = np.log(share["reference"] / share["biased"])
        self.group_of = {
            image.tobytes(): g for image, g in zip(images.data.images, images.data.groups, strict=True)
        }

    def log_ratio(self, x, sigma):
        images = distances.to_uint8(x)
        return torch.tensor([self.log_r[self.group_of[image.tobytes()]] for image in images])


def test_weights_of_the_exact_ratio_make_the_shares_equal():
    images = bias.load("digits-lt")
    assert weights.can_weigh(images)
    assert weights.variation_after_weighting(Oracle(images), images) < 1e-6
    unweighted = shares.total_variation(images.shares()["biased"], np.full(10, 0.1))
    assert weights.variation_after_weighting(One(), images) == pytest.approx(unweighted, abs=1e-6)


def test_only_images_with_groups_and_some_left_over_can_be_weighed():
    images = bias.load("digits-lt")
    everything = dataclasses.replace(images.split, biased=np.arange(50, 1797), reference=np.arange(50))
    assert not weights.can_weigh(dataclasses.replace(images, split=everything))
    assert not weights.can_weigh(
        dataclasses.replace(images, data=dataclasses.replace(images.data, groups=None))
    )


def test_the_fresh_loss_of_knowing_nothing_is_log_2_and_the_oracle_s_is_the_entropy():
    images = bias.load("digits-lt")
    assert weights.fresh_loss(One(), images, LogNormal()) == pytest.approx(np.log(2), abs=1e-6)
    share = images.shares()
    both = sum(share.values())
    entropy = -sum((part * np.log(part / both)).sum() / 2 for part in share.values())
    no_noise = LogNormal(P_mean=-30, P_std=0)
    assert weights.fresh_loss(Oracle(images), images, no_noise) == pytest.approx(entropy, abs=1e-6)


def test_the_fresh_loss_is_the_same_for_equal_ratios_and_uses_every_draw():
    images = bias.load("digits-lt")
    calls = []

    class Spy(One):
        def log_ratio(self, x, sigma):
            calls.append((x, sigma))
            return super().log_ratio(x, sigma)

    for _ in range(2):
        weights.fresh_loss(Spy(), images, LogNormal(), draws=2)
    assert torch.equal(calls[0][0], calls[2][0]) and not torch.equal(calls[0][1], calls[1][1])


def test_the_spread_of_weights_is_that_of_the_exact_ratio():
    """In the plane log w is known at every point; shares of bins against a direct count of the same density."""
    x0 = P_BIAS.sample(20_000, torch.Generator().manual_seed(1))
    table = weights.weights_of(EXACT_RATIO, x0, 0.5, sigmas=(0.0, 3.0), most=20_000)
    assert table.groupby("sigma").share.sum().tolist() == pytest.approx([1, 1])
    for sigma in (0.0, 3.0):
        fresh = P_BIAS.sample(20_000, torch.Generator().manual_seed(2))
        fresh = fresh + sigma * torch.randn(fresh.shape, generator=torch.Generator().manual_seed(3))
        r = EXACT_RATIO.log_ratio(fresh, torch.full((20_000,), sigma)).exp().double()
        below = (r / (0.5 * r + 0.5) < 1).double().mean().item()
        part = table[table.sigma == sigma]
        measured = part.share[part.log10_w < 0].sum()  # w < 1 = 10^0, an edge
        assert measured == pytest.approx(below, abs=0.014)  # 3 standard errors of the two counts


def test_weights_beyond_the_bins_are_counted_at_the_ends():
    class Tiny:
        def log_ratio(self, x, sigma):
            return torch.full((len(x),), -100.0)

    table = weights.weights_of(Tiny(), torch.zeros(10, 2), 0.0, sigmas=(1.0,))
    assert table.share.iloc[0] == 1 and table.log10_w.iloc[0] == -6


def test_of_many_images_the_same_few_are_asked_about():
    """The oracle is exact on any part of them, and what is few is taken whole."""
    many = np.arange(3 * weights.MOST)
    chosen = weights.few(many)
    assert len(np.unique(chosen)) == weights.MOST and (chosen == weights.few(many)).all()
    assert abs(chosen.mean() - many.mean()) < 0.05 * len(many)
    assert weights.few(many[: weights.MOST]) is not chosen and len(weights.few(many[:7])) == 7
