"""One interface for all estimators: they come nearer to the exact ratio, can be kept, and refuse what cannot work."""

import pytest
import torch

from tiwlib import estimators, training
from tiwlib.batches import Observed
from tiwlib.closed_form import One, ratio_errors
from tiwlib.data import bias
from tiwlib.data.problems import gmm, of_images
from tiwlib.estimators.heldout import cross_entropy
from tiwlib.gaussians import EXACT_RATIO
from tiwlib.networks import image_denoiser, point_denoiser, seeded
from tiwlib.objectives import dsm, weight_and_correction

SHORT = {"steps": 100, "heldout_draws": 200}
OPTIONS = {
    "plain": {**SHORT, "lr": 1e-3},
    "features": SHORT,
    "mixture": {"clusters": 2, "heldout_draws": 200},
    "distilled": {"steps": 100},
    "posterior": {},
}


@pytest.fixture(scope="module")
def problem():
    return gmm(n=1000, minority=0.2, n_reference=100)


@pytest.fixture(scope="module")
def base(problem):
    """DSM(obs), trained for a moment."""
    denoiser = seeded(problem.denoiser, "small", 64, seed=0)
    config = training.TrainingConfig(steps=150, lr=3e-3)
    data = Observed(problem.biased, problem.reference)
    for _ in training.train(denoiser, dsm, data, problem.noise_distribution, config):
        pass
    return denoiser


def test_every_estimator_has_options_here():
    assert OPTIONS.keys() == estimators.ESTIMATORS.keys()


@pytest.mark.parametrize("name", OPTIONS)
def test_an_estimator_halves_the_error_of_one_and_comes_back_from_its_tensors(name, problem, base):
    base = base if estimators.estimator(name).requires_base else None
    fitted = estimators.fit(name, problem, base, seed=1, **OPTIONS[name])
    error = ratio_errors(fitted, EXACT_RATIO, n=500, times=10)["ratio"].mean()
    of_one = ratio_errors(One(), EXACT_RATIO, n=500, times=10)["ratio"].mean()
    assert error < of_one / 2
    assert fitted.heldout_loss == pytest.approx(cross_entropy(fitted.heldout), abs=1e-6)
    again = estimators.restore(name, problem, base, fitted.tensors(), **OPTIONS[name])
    x, sigma = problem.biased[:50], torch.linspace(0, 5, 50)
    assert torch.equal(again.log_ratio(x, sigma), fitted.log_ratio(x, sigma))
    assert again.heldout_loss == pytest.approx(fitted.heldout_loss)
    assert not any(p.requires_grad for p in fitted.network.parameters()) and not fitted.network.training


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return of_images(bias.load("digits-lt", tmp_path_factory.mktemp("data")))


@pytest.mark.parametrize("name", OPTIONS)
def test_an_estimator_takes_images_and_has_a_correction(name, digits):
    """A denoiser that has learned nothing is enough to see that all fits together."""
    base = seeded(image_denoiser, 1, 8, 8, seed=0)
    known = estimators.estimator(name).config.__dataclass_fields__
    options = {
        key: value for key, value in {"steps": 3, "heldout_draws": 40, "draws": 1}.items() if key in known
    }
    before = {key: value.clone() for key, value in base.state_dict().items()}
    fitted = estimators.fit(name, digits, base, **options)
    w, correction = weight_and_correction(
        fitted, digits.reference[torch.arange(4)], torch.full((4,), 1.0), 0.5
    )
    assert w.isfinite().all() and correction.shape == (4, 1, 8, 8) and correction.isfinite().all()
    assert all(torch.equal(value, before[key]) for key, value in base.state_dict().items())
    assert all(p.requires_grad for p in base.parameters())  # the caller's network is as it was


def test_clusters_of_features_ask_no_label(digits, monkeypatch):
    """Exchanging images between the sets moves the shares alone: the network that names clusters stays the same."""
    from tiwlib.estimators import clusters

    calls, original = [], clusters.learn_names
    monkeypatch.setattr(clusters, "learn_names", lambda *a, **k: (calls.append(a[1:3]), original(*a, **k))[1])
    estimators.fit("mixture", digits, seeded(image_denoiser, 1, 8, 8, seed=0), steps=1, heldout_draws=20)
    ((x0, cluster),) = calls
    assert len(x0) == len(cluster) == 550 and cluster.max() == 19


@pytest.mark.parametrize(
    ("name", "n_reference", "options", "named"),
    [
        ("magic", 50, {}, "ratio='magic': must be one of plain, features, mixture, distilled, posterior"),
        ("posterior", 50, {"clusters": 3}, "clusters: no option of ratio='posterior'; it has neighbours"),
        ("posterior", 4, {}, "4 reference samples: folds=5 need as many at least"),
        ("distilled", 4, {}, "4 reference samples: folds=5 need as many at least"),
        ("mixture", 4, {}, "folds=5: must be at least 2 and at most 4"),
        ("plain", 1, {}, "holdout=0.2: of 1 samples it must hold out at least one"),
        ("mixture", 50, {"clusters": 251}, "clusters=251: must be at most 250, the number of samples"),
        ("mixture", 50, {"clusters": 1}, "clusters=1: must be at least 2"),
        ("posterior", 50, {"std": 0.0}, "std=0.0: must be positive"),
        ("features", 50, {"width": 0}, "width=0: must be at least 1"),
        ("distilled", 50, {"steps": 0}, "steps=0: must be at least 1"),
    ],
)
def test_bad_input_is_named(name, n_reference, options, named, base):
    problem = gmm(n=200, n_reference=n_reference)
    with pytest.raises(ValueError, match=named):
        estimators.fit(name, problem, base if name != "mixture" else None, **options)


def test_a_base_that_is_missing_or_of_other_samples_is_refused(problem, base, digits):
    with pytest.raises(ValueError, match="base=None: ratio='features' needs a plain denoiser"):
        estimators.fit("features", problem)
    with pytest.raises(ValueError, match="base: its sigma_data is 1.0, that of the samples 2.23"):
        estimators.fit("posterior", problem, point_denoiser(2, 1.0))
    for other in (image_denoiser(3, 8, 8), point_denoiser(2, 0.5)):
        with pytest.raises(ValueError, match=r"base: a denoiser of other samples .* shape \(1, 8, 8\)"):
            estimators.fit("posterior", digits, other)


def test_a_set_without_samples_is_refused(problem, base):
    with pytest.raises(ValueError, match="0 biased and 1000 reference samples: both sets need some"):
        estimators.fit("posterior", problem.biased_alone(), base)


def test_a_cluster_of_references_alone_is_bounded_with_a_warning():
    """Forty references where no biased sample is: rho would be hundreds."""
    problem = gmm(n=500, n_reference=40)
    problem.reference.add_(torch.tensor([50.0, -50.0]))
    with pytest.warns(UserWarning, match=r"rho of \d clusters moved to bound=10"):
        fitted = estimators.fit("mixture", problem, clusters=3, bound=10.0)
    assert fitted.network.log_rho.exp().max() <= 10.001
