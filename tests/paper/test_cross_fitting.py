"""Cross-fitting: who has seen what, and which network answers for which sample."""

import numpy as np
import pytest
import torch

from tiwlib import batches, ratio, training
from tiwlib.estimators.cross_fitting import CrossFitted, PerSample, cross_fit, cross_fitted, folds_of
from tiwlib.gaussians import P_BIAS, P_DATA, SIGMA_DATA
from tiwlib.networks import point_denoiser, point_ratio, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import iw_dsm, tiw_dsm, weight_and_correction

NOISE_DISTRIBUTION = LogNormal.for_data(SIGMA_DATA)


class Constant:
    """A ratio that answers log r = its own number times the first coordinate."""

    def __init__(self, slope):
        self.slope, self.asked = slope, 0

    def log_ratio(self, x, sigma):
        self.asked += len(x)
        return self.slope * x[:, 0]


@pytest.mark.parametrize(("n", "folds"), [(50, 5), (23, 4), (5, 5)])
def test_folds_are_even_and_cover_everything(n, folds):
    of_samples = folds_of(n, folds, np.random.default_rng(0))
    sizes = np.bincount(of_samples, minlength=folds)
    assert len(of_samples) == n and sizes.sum() == n and sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("folds", [1, 6])
def test_impossible_folds_are_refused(folds):
    with pytest.raises(ValueError, match=f"folds={folds}"):
        folds_of(5, folds, np.random.default_rng(0))


def test_each_network_is_kept_from_its_own_fold(monkeypatch):
    """What noisy_batch may draw for network k is every sample but fold k; held out is fold k."""
    biased, reference = P_BIAS.sample(60), P_DATA.sample(23)
    calls = []
    original = ratio.noisy_batch
    monkeypatch.setattr(ratio, "noisy_batch", lambda *a: (calls.append(a[2]), original(*a))[1])

    def fit(k, held):
        network = seeded(point_ratio, 2, SIGMA_DATA, seed=k)
        return ratio.fit(
            network, biased, reference, NOISE_DISTRIBUTION, steps=1, evaluations=1, heldout_draws=8, held=held
        )

    crossed = cross_fit(fit, biased, reference, folds=4, seed=0)
    assert len(calls) == 8  # per fold: the held-out draw, then one step
    for k in range(4):
        for part, size in enumerate((60, 23)):
            of_fold = np.flatnonzero(crossed.folds[part] == k)
            assert np.array_equal(calls[2 * k][part], of_fold)
            assert np.array_equal(calls[2 * k + 1][part], np.setdiff1d(np.arange(size), of_fold))
    assert crossed.heldout_loss == pytest.approx(np.mean([f.heldout_loss for f in crossed.fits]))


def test_a_sample_asks_the_network_of_its_fold_and_a_new_point_asks_all():
    networks = tuple(Constant(slope) for slope in (1.0, 10.0, 100.0))
    x = torch.ones(5, 2)
    fold = torch.tensor([2, 0, 1, 1, 0])
    assert PerSample(networks, fold).log_ratio(x, torch.ones(5)).tolist() == [100, 1, 10, 10, 1]
    assert [network.asked for network in networks] == [2, 2, 1], "each sample costs one network"
    crossed = CrossFitted(networks, (fold.numpy(), fold.numpy()))
    assert crossed.log_ratio(x, torch.ones(5)).tolist() == [37.0] * 5


def test_the_correction_is_the_gradient_of_the_samples_own_network():
    networks = tuple(Constant(slope) for slope in (1.0, 10.0))
    fold = torch.tensor([0, 1, 0])
    w, correction = weight_and_correction(PerSample(networks, fold), torch.zeros(3, 2), torch.ones(3), 0.0)
    assert correction.tolist() == [[1, 0], [10, 0], [1, 0]] and w.tolist() == [1, 1, 1]


def test_folds_of_another_batch_are_refused():
    with pytest.raises(ValueError, match=r"fold has shape \(2,\): must be \(B,\) = \(3,\)"):
        PerSample((Constant(1.0),), torch.zeros(2)).log_ratio(torch.zeros(3, 2), torch.ones(3))


def test_labels_travel_with_their_samples_and_do_not_move_the_stream():
    biased, reference = torch.arange(10.0)[:, None], torch.arange(100.0, 104.0)[:, None]
    labels = (np.arange(10), np.arange(100, 104))
    torch.manual_seed(0)
    x0, of_batch = batches.Observed(biased, reference, 0.5, labels).batch(64)
    assert torch.equal(x0[:, 0].long(), of_batch) and (of_batch >= 100).any() and (of_batch < 10).any()
    torch.manual_seed(0)
    assert torch.equal(batches.Observed(biased, reference, 0.5).batch(64), x0)


@pytest.mark.parametrize("objective", [iw_dsm, tiw_dsm])
def test_the_cross_fitted_loss_is_that_of_each_sample_with_the_network_of_its_fold(objective):
    networks = tuple(Constant(slope) for slope in (1.0, 0.3))
    fold = torch.tensor([1, 0, 1])
    denoiser = point_denoiser(2, SIGMA_DATA, 8)
    x0, sigma, noise = torch.randn(3, 2), torch.rand(3), torch.randn(3, 2)
    loss = cross_fitted(objective, CrossFitted(networks, ()), 0.3, alpha=0.5)
    losses = loss(denoiser, x0, sigma, noise, fold)
    for i, k in enumerate(fold):
        batch = (denoiser, x0[i : i + 1], sigma[i : i + 1], noise[i : i + 1])
        alone = objective(*batch, ratio=networks[k], reference_fraction=0.3, alpha=0.5)
        assert losses[i].item() == pytest.approx(alone.item(), rel=1e-5)


def test_training_hands_each_sample_to_the_network_of_its_fold():
    """With one sample a fold, the ratio sees whose: network k is asked about points near sample k alone."""
    biased, reference = torch.tensor([[-50.0, 0.0], [50.0, 0.0]]), torch.tensor([[-50.0, 9.0], [50.0, 9.0]])

    class Side:
        def __init__(self, sign):
            self.sign = sign

        def log_ratio(self, x, sigma):
            assert (x[:, 0].sign() == self.sign).all(), "a sample of the other fold"
            return 0 * x.sum(1)

    crossed = CrossFitted((Side(-1), Side(1)), (np.array([0, 1]), np.array([0, 1])))
    observed = batches.Observed(biased, reference, 0.5, crossed.folds)
    config = training.TrainingConfig(steps=3, batch_size=16, log_every=1)

    def reports(crossed):
        loss = cross_fitted(tiw_dsm, crossed, observed.reference_fraction)
        narrow = LogNormal(P_mean=-3.0, P_std=0.1)
        return list(training.train(point_denoiser(2, SIGMA_DATA, 8), loss, observed, narrow, config))

    assert len(reports(crossed)) == 3
    with pytest.raises(AssertionError, match="other fold"):
        reports(CrossFitted(crossed.fits[::-1], crossed.folds))
