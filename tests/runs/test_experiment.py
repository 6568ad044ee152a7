"""One experiment of each method at toy size: which sets it draws from, with which ratio, pi, alpha and flips."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch

from tiwlib import objectives, ratio, runs, training
from tiwlib.data import ImageData
from tiwlib.data.bias import Biased
from tiwlib.data.problems import gmm, of_images
from tiwlib.data.splits import Split
from tiwlib.noise import Clean, LogNormal
from tiwlib.ratio import RatioConfig
from tiwlib.runs import experiment as module
from tiwlib.runs.config import ExperimentConfig
from tiwlib.runs.experiment import Experiment
from tiwlib.training import TrainingConfig

METHODS = tuple(objectives.METHODS)
TOY = ExperimentConfig(
    seed=3,
    fitting=RatioConfig(steps=2, batch_size=8, evaluations=1, heldout_draws=8),
    width=8,
    training=TrainingConfig(steps=2, batch_size=8, flip=True),
    device="cpu",
    n_samples=3,
    sampling_steps=2,
)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))


@pytest.fixture
def problem():
    """Thirty dark images are biased, ten bright ones reference; the left half of all is darker than the right."""
    images = np.repeat([60, 200], [30, 10]).astype(np.uint8)[:, None, None, None].repeat(8, 2).repeat(8, 3)
    images[..., 4:] += 10
    groups = np.repeat([0, 1], [30, 10])
    data = ImageData("toy", images, groups, ("dark", "bright"), "0" * 64)
    return of_images(Biased(data, Split("toy", 0, {}, np.arange(30), np.arange(30, 40))))


def test_a_training_is_not_resumed_with_another_scale_of_the_data(problem, tmp_path):
    """Where the noise levels are given, nothing else in the name of a run without a ratio depends on sigma_data."""
    often = dataclasses.replace(TOY.training, log_every=1, checkpoint_minutes=0.0)
    config = dataclasses.replace(TOY, method="dsm_obs", training=often)

    def begin(sigma_data):
        scaled = of_images(problem.images, sigma_data, LogNormal(-1.2, 1.2))
        experiment = Experiment(scaled, config, folder=tmp_path / "states")
        next(experiment.train(experiment.denoiser()))

    begin(0.5)
    begin(0.5)
    with pytest.raises(ValueError, match="belongs to another configuration"):
        begin(1.0)


def brightness(x0):
    return x0.flatten(1).mean(1)


@pytest.fixture
def seen(monkeypatch):
    """What the experiment hands to ratio.fit and to training.train."""
    calls = {"fits": []}
    fit, train = ratio.fit, training.train

    def spy_on_fit(network, biased, reference, levels, **options):
        calls["fits"].append((biased, reference, levels, options))
        return fit(network, biased, reference, levels, **options)

    def spy_on_train(denoiser, loss, data, levels, config, **options):
        calls["train"] = loss, data, levels, config
        return train(denoiser, loss, data, levels, config, **options)

    monkeypatch.setattr(module.ratio, "fit", spy_on_fit)
    monkeypatch.setattr(module.training, "train", spy_on_train)
    return calls


def formula(method, denoiser, *parts, ratio, alpha):
    """The loss of the method, told again from the paper's names."""
    if method.startswith("dsm"):
        return objectives.dsm(denoiser, *parts)
    of_ratio = {"ratio": ratio, "reference_fraction": 0.25, "alpha": alpha}
    if method == "iw_dsm":
        return objectives.iw_dsm(denoiser, *parts, **of_ratio)
    return objectives.tiw_dsm(
        denoiser, *parts, **of_ratio, weight=method != "c_only", correction=method != "w_only"
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_method_gets_its_sets_its_ratio_and_its_powers(problem, seen, method):
    weighted = not method.startswith("dsm")
    alpha, pi = (2.0 if weighted else 1.0), (None if method == "dsm_ref" else 0.25)
    config = dataclasses.replace(TOY, method=method, alpha=alpha, reference_fraction=pi)
    experiment = Experiment(problem, config)
    fitted = experiment.ratio()
    denoiser = experiment.trained(fitted)

    loss, data, levels, trained_with = seen["train"]
    assert levels == LogNormal() and trained_with == config.training and trained_with.flip
    assert (
        brightness(data.biased[torch.arange(30)]).max()
        < 0
        < brightness(data.reference[torch.arange(10)]).min()
    )
    drawn = (brightness(data.batch(4000)) > 0).double().mean()
    expected = 1 if method == "dsm_ref" else 0.25
    assert drawn == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5)

    kinds = {None: [], "time_independent": [Clean()], "time_dependent": [LogNormal()]}
    assert [fit[2] for fit in seen["fits"]] == kinds[objectives.METHODS[method].ratio]
    for biased, reference, _, options in seen["fits"]:
        assert brightness(biased[torch.arange(30)]).max() < 0 < brightness(reference[torch.arange(10)]).min()
        assert options["flip"] is True and options["steps"] == 2 and options["seed"] == 3

    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 5, 1, 8, 8, generator=generator)
    parts = x0, torch.rand(5, generator=generator) + 0.1, noise
    again = formula(method, denoiser, *parts, ratio=fitted, alpha=alpha)
    assert torch.equal(loss(denoiser, *parts), again)
    if method == "tiw_dsm":  # the test sees a power that is left out
        assert not torch.allclose(
            formula(method, denoiser, *parts, ratio=fitted, alpha=1.0), again, rtol=1e-4
        )
    assert experiment.sample(denoiser).shape == (3, 1, 8, 8) and not denoiser.training


def test_a_ratio_is_fitted_again_only_for_what_it_depends_on(problem, seen, tmp_path):
    """IW-DSM's is none of TIW-DSM's; the length of the denoiser's training is nothing to it."""
    features = tmp_path / "features.pth"
    features.write_bytes(b"one")
    network = problem.ratio_network
    problem = dataclasses.replace(problem, ratio_network=lambda dropout, features: network(dropout))

    def fits(**changes):
        before = len(seen["fits"])
        Experiment(problem, dataclasses.replace(TOY, **changes)).ratio()
        return len(seen["fits"]) - before

    assert fits() == 1 and fits() == 0
    assert fits(method="w_only") == 0 and fits(training=dataclasses.replace(TOY.training, steps=9)) == 0
    assert fits(method="iw_dsm") == 1
    assert fits(training=dataclasses.replace(TOY.training, flip=False)) == 1
    assert fits(ratio_dropout=0.1) == 1 and fits(seed=4) == 1
    assert fits(fitting=dataclasses.replace(TOY.fitting, lr=1e-2)) == 1
    assert fits(ratio_features=str(features)) == 1
    features.write_bytes(b"another")
    assert fits(ratio_features=str(features)) == 1, "the same path holds other weights"
    problem = dataclasses.replace(problem, key={"split": "other"})
    assert fits() == 1


def test_an_estimators_ratio_is_fitted_again_only_for_what_it_depends_on(problem, monkeypatch):
    """It stands on a plain denoiser: another one gives another ratio. The method and its alpha are nothing to it."""
    fits_of, fit = [], module.estimators.fit

    def spy(name, *args, **options):
        fits_of.append(name)
        return fit(name, *args, **options)

    monkeypatch.setattr(module.estimators, "fit", spy)
    known = module.estimators.ESTIMATORS
    monkeypatch.setitem(known, "twin", known["posterior"])  # another name, as quick as it

    def fits(**changes):
        before = len(fits_of)
        Experiment(problem, dataclasses.replace(TOY, **{"estimator": "posterior"} | changes)).ratio()
        return len(fits_of) - before

    assert fits() == 1 and fits() == 0
    assert fits(method="iw_dsm") == 0 and fits(alpha=2.0) == 0 and fits(base_steps=2) == 0
    assert fits(estimator="twin") == 1
    assert fits(base_steps=1) == 1, "the same samples and seed, another plain denoiser"
    assert fits(width=16) == 1 and fits(seed=4) == 1
    problem = dataclasses.replace(problem, key={"split": "other"})
    assert fits() == 1


def test_a_denoiser_is_trained_again_only_for_what_it_depends_on(problem, seen):
    """All that its loss, its batches, its network and its steps follow from, the ratio too."""

    def trainings(**changes):
        seen.pop("train", None)
        experiment = Experiment(problem, dataclasses.replace(TOY, **changes))
        experiment.trained_once(experiment.ratio())
        return int("train" in seen)

    assert trainings() == 1 and trainings() == 0
    assert trainings(n_samples=5, sampling_steps=3) == 0
    assert trainings(fitting=dataclasses.replace(TOY.fitting, lr=1e-2)) == 1, "another ratio"
    assert trainings(dropout=0.1) == 1, "the same shapes of the weights"
    assert trainings(method="c_only") == 1 and trainings(alpha=2.0) == 1 and trainings(seed=4) == 1
    assert trainings(reference_fraction=0.25) == 1 and trainings(width=16) == 1
    assert trainings(training=dataclasses.replace(TOY.training, steps=3)) == 1
    problem = dataclasses.replace(problem, key={"split": "other"})
    assert trainings() == 1


def test_members_and_held_out_parts_are_other_fits(problem, seen):
    experiment = Experiment(problem, TOY)
    held = np.arange(6), np.arange(2)
    one, again, other = experiment.ratio(), experiment.ratio(), experiment.ratio(member=1)
    assert len(seen["fits"]) == 2 and one.heldout_loss == again.heldout_loss != other.heldout_loss
    experiment.ratio(held=held)
    assert seen["fits"][2][3]["held"] is held


def test_who_finds_a_ratio_books_what_its_fit_has_cost(problem):
    first, second = Experiment(problem, TOY), Experiment(problem, dataclasses.replace(TOY, method="c_only"))
    first.ratio()
    second.ratio()
    assert first.costs == second.costs and first.costs["ratio"]["seconds"] > 0
    assert first.hashes == second.hashes and first.hashes.keys() == {"split", "images", "ratio"}


@pytest.mark.parametrize(
    "change",
    [{"reference_fraction": 0.3}, {"alpha": 2.0}, {"method": "c_only"}, {"method": "iw_dsm"}, {"width": 16}],
)
def test_a_state_of_another_experiment_is_refused(problem, tmp_path, change):
    def trained(config):
        experiment = Experiment(problem, config, folder=tmp_path / "states")
        return experiment.trained(experiment.ratio())

    trained(TOY)
    with pytest.raises(ValueError, match="belongs to another configuration"):
        trained(dataclasses.replace(TOY, **change))
    longer = dataclasses.replace(TOY.training, checkpoint_minutes=1.0, micro_batch=3)  # how, not what
    trained(dataclasses.replace(TOY, training=longer))


def test_without_a_reference_set_dsm_sees_the_biased_set_alone():
    problem = gmm(n=50, n_reference=9)
    alone = Experiment(problem.biased_alone(), dataclasses.replace(TOY, method="dsm_ref"))
    assert alone.observed().reference is problem.biased and alone.reference_fraction == 1
    assert alone.hashes != Experiment(problem, TOY).hashes


# ---------------------------------------------------------------- the configuration


def test_the_defaults_are_those_of_the_notebook():
    """But for what images have where nothing is asked for, and for the training that suits the digits."""
    config = ExperimentConfig.from_parameters(runs.defaults("05_train"))
    digits = TrainingConfig(steps=2000, lr=4e-3, lr_decay=True)
    assert config == ExperimentConfig(width=16, ratio_dropout=0.5, training=digits, sampling_steps=40)


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "method": ["gan"],
        "seed": [-1, 2**32],
        "reference_fraction": [-0.1, 1.5, math.nan],
        "alpha": [-1.0, math.inf, math.nan],
        "ratio_steps": [0],
        "ratio_lr": [0.0, -1.0, math.nan],
        "ratio_dropout": [-0.1, 1.0, math.nan],
        "ratio_features": ["nowhere.pth"],
        "base_steps": [400],  # the plain ratio stands on no denoiser
        "network": ["huge"],
        "width": [0, -8, 1, 4, 12],
        "dropout": [-0.1, 1.0, 1.5],
        "steps": [0],
        "batch_size": [0],
        "micro_batch": [-1],
        "lr": [0.0, math.inf],
        "ema_half_life": [0.0, -1.0],
        "precision": ["fp8"],
        "num_processes": [0],
        "n_samples": [0, 12, 91],
        "sampling_steps": [0, 1],
    }.items(),
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(name, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"{name}=\S*{re.escape(str(value))}"):
            ExperimentConfig.from_parameters(runs.defaults("05_train") | {name: value})


@pytest.mark.parametrize(("base_steps", "steps"), [(None, 2), (1, 1)])
def test_the_denoiser_that_a_ratio_stands_on_has_its_own_length(
    problem, seen, monkeypatch, base_steps, steps
):
    """It is plain training on all that is observed, by the run's own options but the length."""

    def fit(name, problem, base, **options):
        raise InterruptedError(name)

    monkeypatch.setattr(module.estimators, "fit", fit)
    config = dataclasses.replace(TOY, estimator="posterior", base_steps=base_steps)
    with pytest.raises(InterruptedError, match="posterior"):
        Experiment(problem, config).ratio()
    _, data, levels, how = seen["train"]
    assert how == dataclasses.replace(TOY.training, steps=steps) and levels == problem.noise_distribution
    assert data.reference_fraction == 10 / 40, "DSM(obs)"
    assert config.name("toy") == f"toy-tiw_dsm-posterior{'-base1' if base_steps else ''}-seed3"


@pytest.mark.parametrize("base_steps", [0.0, -1.0, 1.5, math.nan])
def test_a_length_of_the_base_is_a_whole_number(base_steps):
    params = runs.defaults("05_train") | {"ratio": "posterior"}
    assert (
        ExperimentConfig.from_parameters(params | {"base_steps": 400.0}).name("a").endswith("-base400-seed0")
    )
    assert ExperimentConfig.from_parameters(params).base_steps is None
    with pytest.raises(
        ValueError, match=f"base_steps={int(base_steps) if base_steps % 1 == 0 else base_steps}: must"
    ):
        ExperimentConfig.from_parameters(params | {"base_steps": base_steps})


def test_a_record_from_before_a_parameter_has_its_default(tmp_path):
    params = runs.defaults("05_train") | {
        "root": str(tmp_path),
        "ratio": "posterior",
        "seed": 4,
        "run": "old",
    }
    made = module.of_record(
        {"params": {name: value for name, value in params.items() if name != "base_steps"}}
    )
    assert (made.config.seed, made.config.estimator, made.config.base_steps) == (4, "posterior", None)


def test_parameters_that_would_not_be_used_are_refused():
    with pytest.raises(
        ValueError, match=r"reference_fraction=0.5: DSM\(ref\) trains on the reference set alone"
    ):
        dataclasses.replace(TOY, method="dsm_ref", reference_fraction=0.5)
    with pytest.raises(ValueError, match=r"alpha=2.0: DSM\(obs\) has no weight"):
        dataclasses.replace(TOY, method="dsm_obs", alpha=2.0)


@pytest.mark.parametrize(("name", "value"), [("ratio_lr", 1e-3), ("ratio_dropout", 0.0)])
def test_an_estimator_refuses_what_is_of_the_plain_ratio(name, value):
    """But for ratio_steps: a file of parameters for the plain ratio goes with any estimator."""
    given = runs.defaults("05_train") | {name: value}
    ExperimentConfig.from_parameters(given)
    with pytest.raises(
        ValueError, match=f"{name}={value}: only the plain ratio uses it, not ratio='posterior'"
    ):
        ExperimentConfig.from_parameters(given | {"ratio": "posterior"})
    ExperimentConfig.from_parameters(runs.defaults("05_train") | {"ratio": "posterior", "ratio_steps": 600})


@pytest.mark.parametrize(("side", "says"), [(1, "size=1 x 1"), (2, "size=2 x 2"), (15, "size=15")])
def test_a_size_that_no_network_takes_is_refused_before_anything_is_fitted(seen, side, says):
    images = np.zeros((40, 1, side, side), np.uint8)
    data = ImageData("toy", images, None, (), "0" * 64)
    split = Split("toy", 0, {}, np.arange(30), np.arange(30, 40))
    with pytest.raises(ValueError, match=says):
        Experiment(of_images(Biased(data, split)), TOY)
    assert seen["fits"] == []


def test_points_have_no_dropout_and_one_network():
    for change in ({"dropout": 0.1}, {"network": "paper"}):
        with pytest.raises(ValueError, match="points have"):
            Experiment(gmm(n=50, n_reference=9), dataclasses.replace(TOY, **change))


class TestScaleAndLevels:
    """What the parameters of notebook 05 say of the noise reaches networks, ratio, training and sampler."""

    def test_denoiser_and_ratio_are_trained_at_the_scale_and_levels_that_are_asked_for(self, problem, seen):
        levels = LogNormal(-0.4, 1.0)
        experiment = Experiment(of_images(problem.images, 0.75, levels), TOY)
        fitted = experiment.ratio()
        assert fitted.network.sigma_data == experiment.trained(fitted).sigma_data == 0.75
        assert seen["train"][2] == levels == seen["fits"][0][2]

    def test_the_sampler_starts_at_the_scale(self, problem, monkeypatch):
        scales, sample = [], module.sampling.sample
        spy = lambda *args, **options: scales.append(options["sigma_data"]) or sample(*args, **options)  # noqa: E731
        monkeypatch.setattr(module.sampling, "sample", spy)
        experiment = Experiment(of_images(problem.images, 0.75), TOY)
        experiment.sample(experiment.denoiser())
        assert scales == [0.75]

    def test_a_ratio_of_other_levels_is_another_ratio(self, problem, seen):
        for levels in (None, LogNormal(-0.4), None):
            Experiment(of_images(problem.images, levels=levels), TOY).ratio()
        assert [fit[2] for fit in seen["fits"]] == [LogNormal(), LogNormal(-0.4)]  # the third was cached

    def test_the_notebook_asks_for_both(self, tmp_path, monkeypatch):
        params = runs.defaults("05_train") | {"root": str(tmp_path)}
        made = module.from_parameters(
            params | {"sigma_data": 0.6, "noise_mean": -1.0, "noise_std": 1.1}
        ).problem
        assert (made.sigma_data, made.noise_distribution) == (0.6, LogNormal(-1.0, 1.1))

    @pytest.mark.parametrize(("name", "value"), [("noise_std", 0.0), ("sigma_data", -1.0)])
    def test_what_makes_no_sense_is_refused_by_its_name(self, tmp_path, name, value):
        with pytest.raises(ValueError, match=rf"{name}={value}"):
            module.from_parameters(runs.defaults("05_train") | {"root": str(tmp_path), name: value})
