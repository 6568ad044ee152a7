"""Learning a ratio: what is held out, what is kept, and that it learns the right thing."""

import numpy as np
import pytest
import torch

from tiwlib import ratio
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA, SIGMA_DATA
from tiwlib.measures import metrics
from tiwlib.networks import image_ratio, point_ratio, seeded
from tiwlib.noise import Clean, LogNormal

NOISE_DISTRIBUTION = LogNormal.for_data(SIGMA_DATA)


def small(n_biased=400, n_reference=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return P_BIAS.sample(n_biased, generator), P_DATA.sample(n_reference, generator)


def fit(biased, reference, noise_distribution=NOISE_DISTRIBUTION, **options):
    options = {"steps": 30, "evaluations": 3, "heldout_draws": 128, **options}
    return ratio.fit(
        seeded(point_ratio, 2, SIGMA_DATA, seed=0), biased, reference, noise_distribution, **options
    )


def test_a_fitted_ratio_comes_near_the_exact_one():
    """Less than a quarter of the error of r = 1 (0.25), with 4,000 samples of both: seeds give 0.01 to 0.03."""
    fitted = fit(*small(4000, 4000), steps=400, heldout_draws=4096)
    assert metrics.ratio_errors(fitted, EXACT_RATIO, n=1000, times=10)["ratio"].mean() < 0.06
    assert fitted.heldout_loss < np.log(2) - 0.01


def test_swapping_the_sets_inverts_the_ratio():
    biased, reference = small(2000, 2000)
    x, sigma = torch.tensor([[2.0, 2.0], [-2.0, -2.0]]), torch.full((2,), 0.5)
    forward = fit(biased, reference, steps=200).log_ratio(x, sigma)
    backward = fit(reference, biased, steps=200).log_ratio(x, sigma)
    assert forward[0] > 0.3 > 0 > forward[1] and backward[0] < 0 < backward[1]


def test_held_out_samples_never_enter_training(monkeypatch):
    biased, reference = small(50, 20)
    calls = []
    original = ratio.noisy_batch
    monkeypatch.setattr(ratio, "noisy_batch", lambda *a: (calls.append(a[2]), original(*a))[1])
    fit(biased, reference, steps=50)
    (held_b, held_r), (train_b, train_r) = calls[0], calls[1]
    assert len(held_b) == 10 and len(held_r) == 4  # 20 % of both
    assert not set(held_b) & set(train_b) and not set(held_r) & set(train_r)
    assert len(calls) == 51 and all(call is calls[1] for call in calls[1:])


def test_the_time_independent_ratio_sees_clean_samples_only():
    x, sigma, label = ratio.noisy_batch(*small(), (np.arange(400), np.arange(200)), 64, Clean(), "cpu")
    assert (sigma == 0).all() and len(x) == 128
    assert label.tolist() == [0.0] * 64 + [1.0] * 64
    clean = torch.cat(small())
    assert all((clean == row).all(1).any() for row in x)


def test_fitting_is_repeatable_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    first = fit(*small())
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    second = fit(*small())
    assert first.history.equals(second.history)


def test_best_keeps_the_lowest_held_out_loss_and_last_the_last():
    best = fit(*small(60, 20), steps=300, evaluations=10, stop="best", weight_decay=0.0)
    assert best.heldout_loss == best.history.heldout_loss.min()
    assert fit(*small(), stop="last").step == 30


def test_a_kept_fit_is_loaded_as_it_was(tmp_path):
    path = tmp_path / "ratio.safetensors"
    options = {"steps": 20, "evaluations": 2, "heldout_draws": 64}
    first = ratio.fit_once(
        path, seeded(point_ratio, 2, SIGMA_DATA, seed=0), *small(), NOISE_DISTRIBUTION, **options
    )
    before = path.read_bytes()
    again = ratio.fit_once(
        path, seeded(point_ratio, 2, SIGMA_DATA, seed=9), *small(), NOISE_DISTRIBUTION, **options
    )
    x, sigma = torch.randn(5, 2), torch.rand(5)
    assert torch.equal(first.log_ratio(x, sigma), again.log_ratio(x, sigma))
    assert first.heldout_loss == again.heldout_loss and path.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_image_ratio_has_one_value_an_image_and_a_correction_of_the_images_shape():
    network = seeded(image_ratio, 3, 8, seed=0)
    x, sigma = torch.randn(4, 3, 16, 16), torch.tensor([0.0, 0.1, 1.0, 80.0])
    weight, correction = ratio.weight_and_correction(network, x, sigma, 0.5)
    assert weight.shape == (4,) and correction.shape == x.shape
    assert torch.isfinite(weight).all() and torch.isfinite(correction).all()


def test_calibration_of_a_calibrated_and_of_an_overconfident_ratio():
    import pandas as pd

    rng = np.random.default_rng(0)
    log_ratio = rng.normal(size=20_000)
    label = (rng.random(20_000) < 1 / (1 + np.exp(-log_ratio))).astype(float)
    calibrated = pd.DataFrame({"log_ratio": log_ratio, "label": label})
    assert metrics.calibration_error(calibrated) < 0.02  # 8 bins of 2,500: standard error 0.01
    assert metrics.calibration_error(calibrated.assign(log_ratio=4 * log_ratio)) > 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop": "first"}, "stop='first': must be 'best' or 'last'"),
        ({"holdout": 0.0}, "holdout=0.0"),
        ({"holdout": 1.0}, "holdout=1.0"),
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 1}, "batch_size=1"),
    ],
)
def test_wrong_options_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fit(*small(), **change)


def test_a_ratio_that_diverges_is_refused_at_its_step():
    biased, reference = small()
    biased[3] = float("nan")
    with pytest.raises(FloatingPointError, match="the ratio's held-out loss is nan at step"):
        fit(biased, reference)


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="400 biased and 0 reference samples"):
        fit(small()[0], torch.zeros(0, 2))
