"""The error of a learned ratio and of its score, against cases whose answer is known."""

import numpy as np
import pytest
import torch

from tiwlib import closed_form
from tiwlib.gaussians import EXACT_RATIO, P_BIAS


class Scaled:
    """log r_hat = log r + c: the error of r is (e^c - 1)^2 E r^2, that of its score is zero."""

    def __init__(self, c):
        self.c = c

    def log_ratio(self, x, sigma):
        return EXACT_RATIO.log_ratio(x, sigma) + self.c


def test_the_exact_ratio_has_no_error_and_a_scaled_one_a_known_error():
    exact = closed_form.ratio_errors(EXACT_RATIO, EXACT_RATIO, n=100, times=5)
    assert (exact["ratio"] == 0).all() and (exact["score"] == 0).all()
    assert closed_form.clean_ratio_error(EXACT_RATIO, EXACT_RATIO, n=100) == 0
    scaled = closed_form.clean_ratio_error(Scaled(0.1), EXACT_RATIO, n=100_000)
    # E_bias r^2 by quadrature over the axis of the modes' sum, on which alone r depends
    axis = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    x = torch.cartesian_prod(axis[::20], axis[::20])
    zero = torch.zeros(len(x))
    r2 = (2 * EXACT_RATIO.log_ratio(x, zero) + P_BIAS.log_prob(x, zero)).exp().sum() * (20 * 24 / 4000) ** 2
    assert scaled == pytest.approx((np.exp(0.1) - 1) ** 2 * r2.item(), rel=0.02)  # 100,000 samples
    assert (closed_form.ratio_errors(Scaled(0.1), EXACT_RATIO, n=100, times=5)["score"] < 1e-9).all()


@pytest.mark.parametrize("i", [0, 3])
def test_the_error_of_one_against_quadrature(i):
    """E (1 - r)^2 and E sigma^2 ||grad log r||^2 under p_bias^sigma at VP times t = (i + 1/2) / 5."""
    errors = closed_form.ratio_errors(closed_form.One(), EXACT_RATIO, n=40_000, times=5)
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
