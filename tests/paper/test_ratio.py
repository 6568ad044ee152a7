"""Learning a ratio: what is held out, how it is fitted, and that it learns the right thing."""

import functools

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tiwlib import ratio
from tiwlib.closed_form import ratio_errors
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA, SIGMA_DATA
from tiwlib.networks import image_ratio, point_ratio, seeded
from tiwlib.noise import Clean, LogNormal
from tiwlib.objectives import weight_and_correction

NOISE_DISTRIBUTION = LogNormal.for_data(SIGMA_DATA)


def small(n_biased=400, n_reference=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return P_BIAS.sample(n_biased, generator), P_DATA.sample(n_reference, generator)


def fit(biased, reference, noise_distribution=NOISE_DISTRIBUTION, **options):
    options = {"steps": 30, "evaluations": 3, "heldout_draws": 128, **options}
    network = seeded(point_ratio, 2, SIGMA_DATA, seed=0)
    return ratio.fit(network, biased, reference, noise_distribution, **options)


def fit_images(dropout=0.0, seed=0, **options):
    images = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = seeded(image_ratio, 1, 8, dropout, seed=seed)
    options = {"steps": 4, "batch_size": 8, "evaluations": 2, "heldout_draws": 16, **options}
    return ratio.fit(network, images[:12], images[12:], LogNormal(), **options)


def test_a_fitted_ratio_comes_near_the_exact_one():
    """Less than a quarter of the error of r = 1 (0.25), with 4,000 samples of both: seeds give 0.01 to 0.03."""
    fitted = fit(*small(4000, 4000), steps=400, heldout_draws=4096)
    assert ratio_errors(fitted, EXACT_RATIO, n=1000, times=10)["ratio"].mean() < 0.06
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


def test_the_optimiser_is_adamw_with_a_cosine_from_lr_to_zero(monkeypatch):
    """The rate of every step against the formula, and the decay of the weights that is asked for."""
    rates, decays = [], []

    class Spied(torch.optim.AdamW):
        def step(self, *arguments, **options):
            rates.append(self.param_groups[0]["lr"])
            decays.append(self.param_groups[0]["weight_decay"])
            return super().step(*arguments, **options)

    monkeypatch.setattr(torch.optim, "AdamW", Spied)
    fit(*small(), steps=40, lr=2e-3, weight_decay=0.7)
    expected = 2e-3 * (1 + np.cos(np.pi * np.arange(40) / 40)) / 2
    assert np.allclose(rates, expected) and set(decays) == {0.7}


def test_weight_decay_pulls_the_weights_to_zero():
    """30 steps of a rate that falls from 0.001 to 0, times a decay of 30: a weight shrinks to exp(-0.45) = 0.64."""
    norms = []
    for weight_decay in (0.0, 30.0):
        network = fit(*small(), weight_decay=weight_decay).network
        norms.append(sum(p.square().sum() for p in network.parameters()).sqrt())
    assert norms[1] < 0.8 * norms[0]


@pytest.mark.parametrize("flip", [False, True])
def test_images_are_flipped_where_the_denoiser_s_are(monkeypatch, flip):
    calls = []
    monkeypatch.setattr(ratio, "flip_half", lambda x0: calls.append(len(x0)) or x0)
    fit_images(flip=flip)
    assert calls == ([16] + 4 * [8] if flip else [])  # the held-out draw, then every step


def test_the_held_out_loss_is_taken_without_dropout_and_training_goes_on_with_it():
    network = seeded(image_ratio, 1, 8, 0.9, seed=0).train()
    x, sigma = torch.randn(64, 1, 8, 8), torch.rand(64)
    log_ratio = ratio.evaluated(network, x, sigma)
    assert network.training and not log_ratio.requires_grad
    with torch.no_grad():
        assert torch.equal(log_ratio, network.eval().log_ratio(x, sigma))


@pytest.mark.parametrize("make", [fit_images, lambda **options: fit(*small(), **options)])
def test_neither_the_number_of_evaluations_nor_their_parts_move_the_last_step(monkeypatch, make):
    often = make(evaluations=4, stop="last")
    by_threes = functools.partial(ratio.evaluated, at_once=64 * 3)  # of images of 64 pixels
    monkeypatch.setattr(ratio, "evaluated", by_threes)
    once = make(evaluations=1, stop="last")
    assert len(often.history) == 5 and len(once.history) == 2 and once.step == often.step
    for name, value in often.network.state_dict().items():
        assert torch.equal(value, once.network.state_dict()[name])
    assert once.heldout_loss == pytest.approx(often.heldout_loss, rel=1e-6)
    assert np.allclose(once.heldout, often.heldout, atol=1e-6)


def test_a_fitted_ratio_answers_without_dropout():
    """Otherwise every weight and correction would be noise: two answers would differ."""
    fitted = fit_images(dropout=0.5)
    assert not fitted.network.training and not any(p.requires_grad for p in fitted.network.parameters())
    x, sigma = torch.randn(5, 1, 8, 8), torch.rand(5)
    assert torch.equal(fitted.log_ratio(x, sigma), fitted.log_ratio(x, sigma))
    logit, label = (torch.tensor(fitted.heldout[name].to_numpy()) for name in ("log_ratio", "label"))
    assert fitted.heldout_loss == pytest.approx(
        binary_cross_entropy_with_logits(logit, label).item(), rel=1e-5
    )


def test_a_fit_becomes_tensors_and_is_the_same_again():
    fitted = fit_images(dropout=0.5, stop="best")
    again = ratio.FittedRatio.from_tensors(seeded(image_ratio, 1, 8, 0.5, seed=9), fitted.tensors())
    x, sigma = torch.randn(5, 1, 8, 8), torch.rand(5)
    assert torch.equal(fitted.log_ratio(x, sigma), again.log_ratio(x, sigma))
    assert torch.equal(again.log_ratio(x, sigma), again.log_ratio(x, sigma)), "without dropout"
    assert fitted.history.equals(again.history) and fitted.heldout.equals(again.heldout)
    assert (fitted.step, fitted.heldout_loss) == (again.step, again.heldout_loss)
    assert all(value.is_contiguous() for value in fitted.tensors().values())


def test_image_ratio_has_one_value_an_image_and_a_correction_of_the_images_shape():
    network = seeded(image_ratio, 3, 8, seed=0)
    x, sigma = torch.randn(4, 3, 16, 16), torch.tensor([0.0, 0.1, 1.0, 80.0])
    weight, correction = weight_and_correction(network, x, sigma, 0.5)
    assert weight.shape == (4,) and correction.shape == x.shape
    assert torch.isfinite(weight).all() and torch.isfinite(correction).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop": "first"}, "stop='first': must be 'best' or 'last'"),
        ({"holdout": 0.0}, "holdout=0.0"),
        ({"holdout": 1.0}, "holdout=1.0"),
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 1}, "ratio_batch_size=1"),
        ({"lr": 0.0}, "ratio_lr=0.0: must be positive"),
        ({"lr": float("nan")}, "ratio_lr=nan: must be positive"),
        ({"weight_decay": -0.1}, "ratio_weight_decay=-0.1: must be finite and not negative"),
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
