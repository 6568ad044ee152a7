"""Measures against cases whose answer is known."""

import numpy as np
import pytest
import torch

from tiwlib import bias, classifier, metrics
from tiwlib.datasets import ImageData, batch
from tiwlib.gaussians import EXACT_RATIO, P_BIAS


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


def test_a_balanced_subset_has_the_target_shares():
    groups = np.array([0] * 50 + [1] * 20 + [2] * 30)
    chosen = metrics.balanced(groups, np.array([0.5, 0.25, 0.25]))
    assert np.bincount(groups[chosen]).tolist() == [40, 20, 20]
    assert np.bincount(groups[metrics.balanced(groups, np.array([0.5, 0.5, 0.0]))]).tolist() == [20, 20]


def test_distances_of_shares():
    assert metrics.total_variation(np.array([0.8, 0.2]), np.array([0.5, 0.5])) == pytest.approx(0.3)
    assert metrics.fairness_discrepancy(np.array([0.9, 0.1]), np.array([0.5, 0.5])) == pytest.approx(
        0.32**0.5
    )


def test_bytes_and_numbers_are_inverse():
    images = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    assert (metrics.to_uint8(batch(images, np.arange(4))) == images).all()
    assert metrics.to_uint8(torch.tensor([[-3.0, 3.0]])).tolist() == [[0, 255]]


def test_nearest_training_image_is_found():
    training = np.zeros((3, 1, 2, 2), np.uint8)
    training[1] = 255
    images = training[[1, 0]].copy()
    images[1, 0, 0, 0] = 51  # 0.4 of the range of 2, in one pixel of four
    distances, index = metrics.nearest(images, training)
    assert index.tolist()[0] == 1 and distances[0] == 0
    assert distances[1] == pytest.approx(0.4 / 2, abs=1e-6)


class Oracle:
    """The exact ratio of clean digits: that of the shares of the image's own group."""

    def __init__(self, made):
        counts = made.split.counts(made.data.groups, 10)
        share = {name: c / c.sum() for name, c in counts.items()}
        self.log_r = np.log(share["reference"] / share["biased"])
        self.group_of = {made.data.images[i].tobytes(): g for i, g in enumerate(made.data.groups)}

    def log_ratio(self, x, sigma):
        images = metrics.to_uint8(x)
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


@pytest.fixture(scope="module")
def digits_classifier(tmp_path_factory):
    made = bias.load("digits-lt")
    return made.data, *classifier.fit_once(made.data, tmp_path_factory.mktemp("classifier"))


def test_the_digits_classifier_is_accurate_and_kept(digits_classifier):
    data, path, network, accuracy = digits_classifier
    assert accuracy > 0.97
    again, kept_accuracy = classifier.load(path)
    assert kept_accuracy == accuracy
    assert (
        classifier.predict(again, data.images[:50]) == classifier.predict(network, data.images[:50])
    ).all()


def test_classifier_frechet_distance_is_the_formula_and_orders_damage(digits_classifier):
    """|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) by SciPy's matrix root, on the same features."""
    from scipy.linalg import sqrtm

    data, path, network, _ = digits_classifier
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.images))
    a, b = data.images[order[:800]], data.images[order[800:1600]]
    noisy = np.clip(b + rng.normal(0, 60, b.shape), 0, 255).astype(np.uint8)
    near, far = (metrics.classifier_distances(a, other, path) for other in (b, noisy))
    assert near["classifier_frechet"] < far["classifier_frechet"]
    assert near["precision"] > far["precision"]
    with torch.no_grad():
        f = [network.features(batch(x, np.arange(len(x)))).double().numpy() for x in (a, noisy)]
    mu, cov = [x.mean(0) for x in f], [np.cov(x, rowvar=False) for x in f]
    root = sqrtm(cov[0] @ cov[1] + 1e-12 * np.eye(64)).real
    expected = ((mu[0] - mu[1]) ** 2).sum() + np.trace(cov[0] + cov[1] - 2 * root)
    assert far["classifier_frechet"] == pytest.approx(expected, rel=1e-2)


def test_a_classifier_needs_groups():
    data = ImageData("mine", np.zeros((4, 1, 8, 8), np.uint8), None, (), "0" * 64)
    with pytest.raises(ValueError, match="data=mine: has no groups"):
        classifier.fit(data)
