"""One interface for all estimators: they come nearer to the exact ratio, can be kept, and refuse what cannot work."""

import dataclasses

import pytest
import torch
from torch import nn

from tiwlib import estimators, training
from tiwlib.batches import Observed
from tiwlib.closed_form import One, ratio_errors
from tiwlib.data import bias
from tiwlib.data.problems import gmm, of_images
from tiwlib.estimators import distilled
from tiwlib.estimators.heldout import cross_entropy
from tiwlib.gaussians import EXACT_RATIO, TWO_D_PAIRS
from tiwlib.networks import image_denoiser, point_denoiser, seeded
from tiwlib.objectives import dsm, weight_and_correction

SHORT = {"steps": 100, "heldout_draws": 200}
OPTIONS = {
    "oracle": {"steps": 3, "heldout_draws": 40},
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


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"oracle"}))
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


@pytest.mark.parametrize(("options", "share"), [({}, 0.0), ({"dropout": None}, 0.5), ({"dropout": 0.2}, 0.2)])
def test_a_distilled_network_has_no_dropout_unless_it_is_asked_for(options, share, digits):
    network = distilled.untrained(digits, None, distilled.DistilledConfig(**options))
    assert {part.p for part in network.modules() if isinstance(part, nn.Dropout)} == {share}


def test_clusters_of_features_ask_no_label(digits, monkeypatch):
    """Exchanging images between the sets moves the shares alone: the network that names clusters stays the same."""
    from tiwlib.estimators import clusters

    calls, original = [], clusters.learn_names
    monkeypatch.setattr(clusters, "learn_names", lambda *a, **k: (calls.append(a[1:3]), original(*a, **k))[1])
    estimators.fit("mixture", digits, seeded(image_denoiser, 1, 8, 8, seed=0), steps=1, heldout_draws=20)
    ((x0, cluster),) = calls
    assert len(x0) == len(cluster) == 550 and cluster.max() == 79


@pytest.mark.parametrize(
    ("name", "n_reference", "options", "named"),
    [
        (
            "magic",
            50,
            {},
            "ratio='magic': must be one of plain, features, mixture, distilled, posterior, oracle",
        ),
        ("posterior", 50, {"clusters": 3}, "clusters: no option of ratio='posterior'; it has neighbours"),
        ("posterior", 4, {}, "4 reference samples: folds=5 need as many at least"),
        ("distilled", 4, {}, "4 reference samples: folds=5 need as many at least"),
        ("mixture", 4, {}, "folds=5: must be at least 2 and at most 4"),
        ("plain", 1, {}, "holdout=0.2: of 1 samples it must hold out at least one"),
        ("mixture", 50, {"clusters": 251}, "clusters=251: must be at most 250, the number of samples"),
        (
            "mixture",
            50,
            {"clusters": 250},
            "clusters=250: must be fewer than 250, the number of different samples",
        ),
        ("mixture", 50, {"clusters": 1}, "clusters=1: must be at least 2"),
        ("posterior", 50, {"std": 0.0}, "std=0.0: must be positive"),
        ("features", 50, {"width": 0}, "width=0: must be at least 1"),
        ("distilled", 50, {"steps": 0}, "steps=0: must be at least 1"),
        ("oracle", 50, {}, "ratio='oracle': needs the group of every image, and these samples have none"),
        ("oracle", 50, {"steps": 0}, "steps=0: must be at least 1"),
    ],
)
def test_bad_input_is_named(name, n_reference, options, named, base):
    problem = gmm(n=200, n_reference=n_reference)
    with pytest.raises(ValueError, match=named):
        estimators.fit(name, problem, base if name != "mixture" else None, **options)


def test_a_mixture_has_fewer_gaussians_than_different_samples():
    """With one less than these the ratio is a number at every sample."""
    problem = gmm(n=30, n_reference=10)
    problem = dataclasses.replace(
        problem, biased=problem.biased[:10].repeat(3, 1)
    )  # 20 different samples of 40
    options = {"steps": 1, "heldout_draws": 40}
    fitted = estimators.fit("mixture", problem, clusters=19, **options)
    assert fitted.log_ratio(problem.biased, torch.zeros(30)).isfinite().all()
    with pytest.raises(
        ValueError, match="clusters=20: must be fewer than 20, the number of different samples"
    ):
        estimators.fit("mixture", problem, clusters=20, **options)


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
    with pytest.warns(UserWarning, match=r"rho of \d of 3 clusters moved to bound=10"):
        fitted = estimators.fit("mixture", problem, clusters=3, bound=10.0)
    assert fitted.network.log_rho.exp().max() <= 10.001


# ---------------------------------------------------------------- what is possible


def test_the_oracle_knows_the_true_shares_and_sees_no_reference(digits, monkeypatch):
    """Everything but the names of groups is given to it: its rho are the quotients of the sets' shares."""
    from tiwlib.estimators import oracle

    calls, original = [], oracle.of.learn_names
    monkeypatch.setattr(
        oracle.of, "learn_names", lambda *a, **k: (calls.append(a[1:3]), original(*a, **k))[1]
    )
    fitted = estimators.fit("oracle", digits, steps=2, heldout_draws=20)
    shares = digits.images.shares()
    expected = torch.from_numpy(shares["reference"] / shares["biased"]).float()
    assert torch.allclose(fitted.network.log_rho.exp(), expected)
    ((x0, group),) = calls
    assert len(x0) == len(group) == len(digits.images.data.images) - 50
    seen = {image.numpy().tobytes() for image in x0}
    assert not any(image.numpy().tobytes() in seen for image in digits.reference[torch.arange(50)])


def test_an_oracle_with_the_true_groups_named_leaves_no_bias(digits):
    """With names that are certain, r is rho of the image's own group: the weights give the reference shares."""
    from tiwlib.measures.shares import total_variation

    shares, labels = digits.images.shares(), digits.labels
    network = estimators.oracle.untrained(digits, None, estimators.oracle.OracleConfig())
    certain = 100 * torch.nn.functional.one_hot(labels, 10).float()
    network.log_likelihood = lambda x, sigma: certain
    r = network.log_ratio(torch.zeros(len(labels), 1), torch.zeros(len(labels))).exp()
    weighted = torch.zeros(10).index_add(0, labels, r) / r.sum()
    assert total_variation(weighted.numpy(), shares["reference"]) < 1e-6


def test_an_infinite_ratio_is_refused(digits):
    images = digits.images
    rows = images.split.biased[images.data.groups[images.split.biased] != 9]
    without = dataclasses.replace(images, split=dataclasses.replace(images.split, biased=rows))
    with pytest.raises(ValueError, match="ratio='oracle': no biased image of the group 9"):
        estimators.fit("oracle", dataclasses.replace(digits, images=without), steps=1)


# ---------------------------------------------------------------- what clusters do not see


def test_a_bias_that_moves_no_share_is_not_seen_by_clusters():
    """The reflection (x, y) -> (-y, -x) exchanges the modes and keeps both densities: rho = 1, and r = 1 everywhere.

    Every set stands here together with its reflection, so that the shares are exact and not those of a draw.
    """
    exact = TWO_D_PAIRS["within_modes"]
    problem = gmm(n=300, n_reference=200, pair=exact)
    sets = {name: getattr(problem, name) for name in ("biased", "reference")}
    both = {name: torch.cat([x, -x.flip(1)]) for name, x in sets.items()}
    fitted = estimators.fit("mixture", dataclasses.replace(problem, **both), clusters=2, heldout_draws=40)
    assert fitted.network.log_rho.abs().max() < 1e-3  # EM ends where a share moves by less than 1e-6
    errors = [ratio_errors(ratio, exact, n=500, times=10)["ratio"].mean() for ratio in (fitted, One())]
    assert errors[0] == pytest.approx(errors[1], rel=0.01) and errors[1] > 0.5


def test_the_densities_of_that_bias_have_that_symmetry():
    exact = TWO_D_PAIRS["within_modes"]
    x, sigma = 3 * torch.randn(100, 2, dtype=torch.float64), torch.linspace(0, 5, 100, dtype=torch.float64)
    for density in (exact.p_data, exact.p_bias):
        assert torch.allclose(density.log_prob(x, sigma), density.log_prob(-x.flip(1), sigma))
    assert exact.p_data != exact.p_bias and exact.p_data.weights == exact.p_bias.weights
