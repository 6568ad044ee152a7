"""What notebooks 02 and 08 rest on: faults of the authors' code, other mixtures, ratios left out or scaled."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from tiwlib.closed_form import (
    LOG_MENDED,
    RELEASED,
    SIGN_MENDED,
    AuthorsFormula,
    minimiser,
    score_error,
    tilted_share,
)
from tiwlib.estimators.altered import Above, Scaled
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA, ExactRatio, GaussianMixture
from tiwlib.measures import two_d
from tiwlib.objectives import METHODS, tiw_dsm, weight_and_correction

MEASURED = {  # shares of the minority mode, measured apart from this library, with other code and noise
    "no correction": (minimiser("dsm_obs", EXACT_RATIO, 0.5), 0.353),
    "correct": (minimiser("tiw_dsm", EXACT_RATIO, 0.5), 0.502),
    "released": (RELEASED.minimiser(EXACT_RATIO), 0.285),
    "sign mended": (SIGN_MENDED.minimiser(EXACT_RATIO), 0.430),
    "log d, wrong sign": (LOG_MENDED.minimiser(EXACT_RATIO), 0.233),
    "1 : 20, weight of one half": (minimiser("tiw_dsm", EXACT_RATIO, 1 / 21, weight_fraction=0.5), 0.354),
}


@pytest.mark.parametrize("name", MEASURED)
def test_shares_are_those_measured_before(name):
    """Tolerance: those were Monte-Carlo shares of at most 20,000 samples, 2.3 standard errors: 0.008."""
    denoiser, expected = MEASURED[name]
    assert two_d.limit_share(denoiser)["share"] == pytest.approx(expected, abs=0.008)


def points(n=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return x, 0.1 + 2 * torch.rand(n, generator=generator, dtype=torch.float64)


FORMULAS = [("d", -1), ("d", 1), ("log d", -1), ("log d", 1)]


def gradient_by_differences(value, x, sigma, h=1e-6):
    """Of a function of (x, sigma), (B,): central differences along each axis, (B, d)."""
    axes = h * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.stack([(value(x + e, sigma) - value(x - e, sigma)) / (2 * h) for e in axes], dim=1)


@pytest.mark.parametrize(("gradient_of", "sign"), FORMULAS)
def test_the_formula_s_correction_is_the_gradient_with_its_sign(gradient_of, sign):
    """d = p_data / (p_data + p_bias) from the densities alone, its gradient by finite differences."""
    x, sigma = points()

    def value(x, sigma):
        p_data, p_bias = (density.log_prob(x, sigma).exp() for density in (P_DATA, P_BIAS))
        d = p_data / (p_data + p_bias)
        return d if gradient_of == "d" else d.log()

    formula = AuthorsFormula(label="x", gradient_of=gradient_of, sign=sign)
    d, correction = formula.correction(EXACT_RATIO, x, sigma)
    assert torch.allclose(d.log() if gradient_of == "log d" else d, value(x, sigma))
    assert torch.allclose(correction, sign * gradient_by_differences(value, x, sigma), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("gradient_of", "sign"), FORMULAS)
def test_the_released_correction_is_d_times_the_correct_one_with_its_sign(gradient_of, sign):
    x, sigma = points()
    formula = AuthorsFormula(label="x", gradient_of=gradient_of, sign=sign)
    d, correction = formula.correction(EXACT_RATIO, x, sigma)
    w, correct = weight_and_correction(EXACT_RATIO, x, sigma, 0.5)
    assert torch.allclose(2 * d, w)
    expected = correct * d[:, None] if gradient_of == "d" else correct
    assert torch.allclose(correction, sign * expected, rtol=1e-9, atol=1e-14)


def test_the_released_code_takes_the_wrong_way_between_the_modes():
    """Halfway the truth pushes to the rare mode at (2, 2), the released code away from it, the mended sign to it."""
    x, sigma = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    _, correct = weight_and_correction(EXACT_RATIO, x, sigma, 0.5)
    released, mended = (f.correction(EXACT_RATIO, x, sigma)[1] for f in (RELEASED, SIGN_MENDED))
    assert (correct > 0.1).all() and (released < -0.05).all() and (mended > 0.05).all()
    assert (LOG_MENDED.correction(EXACT_RATIO, x, sigma)[1] < -0.1).all(), "its sign is not mended"


class Mean:
    """A denoiser with one free number, and a sigma_data."""

    sigma_data = 0.5

    def __call__(self, x, sigma):
        return torch.full_like(x, 0.3)


def batch(n=6):
    generator = torch.Generator().manual_seed(3)
    x0, noise = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    return x0, 0.2 + torch.rand(n, generator=generator, dtype=torch.float64), noise


TIW = partial(tiw_dsm, Mean(), *batch(), ratio=EXACT_RATIO)


def test_every_fault_mended_is_tiw_dsm():
    mended = AuthorsFormula(label="mended", gradient_of="log d", sign=1, shared_weight=False)
    assert torch.allclose(mended.loss(Mean(), *batch(), ratio=EXACT_RATIO), TIW(reference_fraction=0.5))


def test_the_released_weight_is_one_number_for_the_batch():
    own = replace(RELEASED, shared_weight=False).loss(Mean(), *batch(), ratio=EXACT_RATIO)
    shared = RELEASED.loss(Mean(), *batch(), ratio=EXACT_RATIO)
    x0, sigma, noise = batch()
    w, _ = weight_and_correction(EXACT_RATIO, x0 + sigma[:, None] * noise, sigma, 0.5)
    assert torch.allclose(shared, own / w * w.mean())


@pytest.mark.parametrize("change", [{"gradient_of": "w"}, {"sign": 0}])
def test_an_impossible_formula_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        AuthorsFormula(label="x", **change)


def test_a_weight_of_other_batches_is_that_of_the_fraction_it_is_made_with():
    """Batches with 5 % reference samples, a weight for half and half: loss and minimiser take the weight's."""
    loss = METHODS["tiw_dsm"].loss(EXACT_RATIO, reference_fraction=0.5)
    assert torch.equal(loss(Mean(), *batch()), TIW(reference_fraction=0.5))
    assert not torch.allclose(loss(Mean(), *batch()), TIW(reference_fraction=0.05))
    x, sigma = points()
    _, correction = weight_and_correction(EXACT_RATIO, x, sigma, 0.5)
    expected = P_BIAS.mix(P_DATA, 0.05).denoised(x, sigma) + sigma[:, None] ** 2 * correction
    denoiser = minimiser("tiw_dsm", EXACT_RATIO, 0.05, weight_fraction=0.5)
    assert torch.allclose(denoiser(x, sigma), expected)
    assert not torch.allclose(minimiser("tiw_dsm", EXACT_RATIO, 0.05)(x, sigma), expected)


def test_a_ratio_above_a_threshold_is_plain_training_below_it():
    x, _ = points()
    for level, active in ((0.5, False), (1.0, False), (1.5, True)):
        sigma = torch.full((len(x),), level, dtype=torch.float64)
        w, correction = weight_and_correction(Above(EXACT_RATIO, 1.0), x, sigma, 0.3)
        expected = weight_and_correction(EXACT_RATIO, x, sigma, 0.3) if active else (torch.ones(50), 0 * x)
        assert torch.allclose(w, expected[0].double()) and torch.allclose(correction, expected[1])


def test_above_decides_for_each_sample():
    x, sigma = points()
    mixed = Above(EXACT_RATIO, 1.0).log_ratio(x, sigma)
    assert (mixed[sigma <= 1] == 0).all() and torch.equal(
        mixed[sigma > 1], EXACT_RATIO.log_ratio(x, sigma)[sigma > 1]
    )


def test_a_scaled_ratio_is_the_ratio_to_a_power():
    x, sigma = points()
    w, correction = weight_and_correction(Scaled(EXACT_RATIO, 2.0), x, sigma, 0.0)
    assert torch.allclose(w, EXACT_RATIO.log_ratio(x, sigma).exp() ** 2)
    assert torch.allclose(correction, 2 * EXACT_RATIO.grad_log_ratio(x, sigma))


def test_the_score_error_is_zero_for_the_truth_and_known_for_a_shifted_score():
    assert score_error(P_DATA, P_DATA) == 0
    shift = torch.tensor([0.3, 0.4], dtype=torch.float64)

    def shifted(x, sigma):  # score + shift / sigma: the error is |shift|^2 at every level
        return P_DATA.denoised(x, sigma) + sigma[:, None] * shift

    assert score_error(shifted, P_DATA) == pytest.approx(0.25, rel=1e-9)


def test_tilted_shares():
    """alpha 0 is the batch and alpha 1 the unbiased density; far modes: shares to the power, normalised."""
    assert tilted_share(EXACT_RATIO, 0.5, 0) == pytest.approx(0.35, abs=0.003)  # the modes overlap
    assert tilted_share(EXACT_RATIO, 0.5, 1) == pytest.approx(0.5, abs=1e-9)
    far = ((-3.0, -3.0), (3.0, 3.0))
    exact = ExactRatio(GaussianMixture((0.5, 0.5), far), GaussianMixture((0.8, 0.2), far))
    a, b = 0.35 * (0.5 / 0.35) ** 2.5, 0.65 * (0.5 / 0.65) ** 2.5
    assert tilted_share(exact, 0.5, 2.5) == pytest.approx(a / (a + b), abs=1e-4)


def test_the_limit_of_endless_samples_is_the_densitys_own_share():
    """0.35 of the batches' mass is the minority mode's, of which 0.23 % lies on the other side, and the other way."""
    tail = stats.norm.sf(8**0.5)  # the modes are 2 sqrt 2 from the line between them
    for fraction, share in ((0.5, 0.35), (1.0, 0.5), (0.0, 0.2)):
        found = two_d.limit_share(P_BIAS.mix(P_DATA, fraction).denoised)
        assert found["share"] == pytest.approx(share * (1 - tail) + (1 - share) * tail, abs=0.002)
        assert 0 < found["high"] - found["share"] < 0.002 and found["low"] < found["share"]


def test_the_limit_is_what_many_draws_come_near_to():
    """10,000 draws from the whole of the noise, not from its diagonal alone: four standard errors."""
    denoiser = RELEASED.minimiser(EXACT_RATIO)
    drawn = two_d.minority(two_d.drawn(denoiser, 10_000, seed=2))["share"]
    assert two_d.limit_share(denoiser)["share"] == pytest.approx(drawn, abs=4 * (0.25 / 10_000) ** 0.5)


def test_the_drawn_share_comes_with_its_interval():
    x = torch.ones(1000, 2)
    x[:700] *= -1
    minority = two_d.minority(x)
    assert minority["share"] == pytest.approx(0.3) and minority["low"] < 0.3 < minority["high"]
    assert minority["high"] - minority["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.21 / 1000), rel=0.02)
