"""Distances of shares, against cases whose answer is known."""

import numpy as np
import pytest

from tiwlib.measures import shares


def test_shares_count_every_group():
    assert shares.shares(np.array([0, 0, 2, 0]), 4).tolist() == [0.75, 0, 0.25, 0]


def test_distances_of_shares():
    half = np.array([0.5, 0.5])
    assert shares.total_variation(np.array([0.8, 0.2]), half) == pytest.approx(0.3)
    assert shares.fairness_discrepancy(np.array([0.9, 0.1]), half) == pytest.approx(0.32**0.5)


def test_pairwise_bias_is_the_mean_over_pairs():
    assert shares.pairwise_bias(np.array([0.9, 0.1])) == pytest.approx(0.8)
    assert shares.pairwise_bias(np.array([0.6, 0.3, 0.1])) == pytest.approx((0.3 + 0.5 + 0.2) / 3)
