"""Baselines that need the reference set alone: fine-tuning, Ambient-o with one threshold, domain guidance."""

import math

import numpy as np
import pytest
import torch

from tiwlib import baselines, objectives
from tiwlib.baselines import ambient, domain_guidance, fine_tuning
from tiwlib.batches import Observed
from tiwlib.gaussians import P_BIAS, P_DATA, SIGMA_DATA, GaussianMixture, minority_share
from tiwlib.networks import point_denoiser, seeded
from tiwlib.noise import LogNormal, expand
from tiwlib.sampling import sample

pytestmark = pytest.mark.usefixtures("own_checkpoints")
SMALL = baselines.Budget(steps=30, tune_steps=40, batch_size=32, ratio_steps=10, sampling_steps=8)
LEVELS = LogNormal.for_data(SIGMA_DATA)


@pytest.fixture(scope="module")
def problem():
    return baselines.problem("gmm", seed=0, n=300, n_reference=60)


def points(seed=0, width=16):
    return seeded(point_denoiser, 2, SIGMA_DATA, width, seed=seed)


def share_of(denoiser) -> float:
    return minority_share(sample(denoiser, 2000, (2,), steps=20, sigma_data=SIGMA_DATA, batch_size=2000))


# ---------------------------------------------------------------- fine-tuning


def test_the_lengths_are_halved_from_the_budget():
    assert fine_tuning.lengths(1000) == [31, 62, 125, 250, 500, 1000]
    assert fine_tuning.lengths(3) == [1, 3], "none of them is 0, none is there twice"


@pytest.mark.parametrize(("n", "share", "size"), [(50, 0.2, 10), (2, 0.1, 1), (2, 0.9, 1), (10, 0.99, 9)])
def test_a_sample_is_held_out_or_trained_on(n, share, size):
    held, rest = fine_tuning.held_out(n, share, 0)
    assert len(held) == size and sorted([*held.tolist(), *rest.tolist()]) == list(range(n))
    assert set(fine_tuning.held_out(50, 0.2, 1)[0].tolist()) != set(
        fine_tuning.held_out(50, 0.2, 0)[0].tolist()
    )


def test_the_held_out_loss_is_the_same_for_the_same_network_and_lower_for_the_better_one():
    """The exact denoiser of the samples' own density beats that of the biased one, which beats a constant."""
    x0 = P_DATA.sample(40, torch.Generator().manual_seed(0))
    losses = []
    for mixture in (P_DATA, P_BIAS, GaussianMixture((1.0,), ((9.0, 9.0),))):

        def denoiser(x, sigma, mixture=mixture):
            return mixture(x, sigma)

        denoiser.sigma_data = SIGMA_DATA
        before = torch.random.get_rng_state()
        losses.append(fine_tuning.denoising_loss(denoiser, x0, LEVELS, 0))
        assert torch.equal(before, torch.random.get_rng_state()), "the caller's random numbers are its own"
        assert losses[-1] == fine_tuning.denoising_loss(denoiser, x0, LEVELS, 0)
    assert losses == sorted(losses)


def test_no_held_out_sample_is_trained_on_and_the_base_stays_as_it_is(problem, monkeypatch):
    seen, base = [], points()
    before = [p.clone() for p in base.parameters()]
    train = fine_tuning.train

    def spy(network, loss, data, *rest):
        seen.append(data.x0)
        return train(network, loss, data, *rest)

    monkeypatch.setattr(fine_tuning, "train", spy)
    method = baselines.baseline("fine_tuning")
    log = method.fit(problem, base, SMALL, 0)
    held, rest = fine_tuning.held_out(60, 0.2, 0)
    assert all(torch.equal(x0, problem.reference[rest]) for x0 in seen) and len(held) == 12
    assert len(seen) == 6 and log.steps == sum(fine_tuning.lengths(40)) and log.extra_parameters == 0
    assert all(torch.equal(a, b) for a, b in zip(before, base.parameters(), strict=True))


@pytest.mark.parametrize("best", [0, 10, 40])
def test_the_length_with_the_lowest_held_out_loss_is_taken(problem, monkeypatch, best):
    """By losses of our own; the network must be the one that was trained for so many steps."""
    trained, base = {}, points()

    def train(network, loss, data, levels, config, seed):
        trained[id(network)] = config.steps
        return [(config.steps, 1.0)]

    def loss(network, *rest):
        return 0.1 if trained.get(id(network), 0) == best else 0.2

    monkeypatch.setattr(fine_tuning, "train", train)
    monkeypatch.setattr(fine_tuning, "denoising_loss", loss)
    method = baselines.baseline("fine_tuning")
    log = method.fit(problem, base, SMALL, 0)
    assert trained.get(id(method.denoiser()), 0) == best and (method.denoiser() is base) == (best == 0)
    assert log.losses == ([(best, 1.0)] if best else [])
    assert method.held_out_losses == dict.fromkeys((0, 1, 2, 5, 10, 20, 40), 0.2) | {best: 0.1}


def test_a_base_that_is_at_its_best_is_kept(problem):
    """No training improves the exact denoiser of the reference's density, at a learning rate that harms."""

    class Exact(torch.nn.Module):
        sigma_data = SIGMA_DATA

        def __init__(self):
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(2))

        def forward(self, x, sigma):
            return P_DATA(x, sigma) + self.shift

    wild = baselines.Budget(**{**SMALL.__dict__, "tune_lr": 1.0})
    method, exact = baselines.baseline("fine_tuning"), Exact()
    method.fit(problem, exact, wild, 0)
    assert method.denoiser() is exact


def test_its_base_is_the_one_that_it_starts_from():
    assert baselines.baseline("fine_tuning").requires.base == "dsm_bias"
    assert baselines.baseline("fine_tuning", start="dsm_obs").requires.base == "dsm_obs"
    assert "dsm_bias" in fine_tuning.STARTS, "its images were not held out of the other"


# ---------------------------------------------------------------- Ambient-o with one threshold


def batch(n=64):
    torch.manual_seed(0)
    return torch.randn(n, 2), LEVELS.sample(n), torch.randn(n, 2), torch.randn(n, 2)  # the last: reference


@pytest.mark.parametrize(("threshold", "of"), [(0.0, "x0"), (math.inf, "reference")])
def test_at_the_ends_of_the_threshold_it_is_dsm_of_one_set(threshold, of):
    x0, sigma, noise, reference = batch()
    loss = ambient.dsm_above(points(), x0, sigma, noise, reference, threshold=threshold)
    assert torch.equal(loss, objectives.dsm(points(), {"x0": x0, "reference": reference}[of], sigma, noise))


def test_a_level_takes_all_images_from_the_threshold_on_and_the_reference_below():
    x0, sigma, noise, reference = batch()
    sigma[0] = 1.5
    loss = ambient.dsm_above(points(), x0, sigma, noise, reference, threshold=1.5)
    for above, samples in ((sigma >= 1.5, x0), (sigma < 1.5, reference)):
        assert above.any()
        assert torch.equal(loss[above], objectives.dsm(points(), samples, sigma, noise)[above])


def test_a_pair_is_of_all_images_and_of_the_reference_set():
    """A tenth of the first are reference samples, by 20,000 draws within four standard errors; of the second all."""
    biased, reference = torch.zeros(900, 2), torch.arange(1, 101)[:, None].repeat(1, 2).float()
    torch.manual_seed(0)
    x0, second = ambient.Pairs(Observed(biased, reference)).batch(20_000)
    assert abs((x0 > 0).double().mean().item() - 0.1) < 4 * (0.09 / 20_000) ** 0.5
    assert set(second.flatten().tolist()) == set(range(1, 101)), "each of the reference samples"


def test_its_threshold_is_in_units_of_the_data(problem, monkeypatch):
    seen = {}

    def spy(network, loss, data, *rest):
        seen.update(loss=loss, data=data)
        return []

    monkeypatch.setattr(ambient, "train", spy)
    baselines.baseline("ambient", threshold=2.0).fit(problem, None, SMALL, 0)
    assert seen["loss"].keywords["threshold"] == 2 * SIGMA_DATA != 2
    assert seen["data"].observed.reference_fraction == 60 / 360


def test_its_minimiser_gets_fairer_with_the_threshold_and_a_low_one_leaves_the_bias():
    """Of exact parts: the observed mixture's denoiser above, the unbiased one's below. Ends: 0.2 and 0.5."""
    shares = []
    for threshold in (0.0, 0.5, 2.0, 8.0, math.inf):

        def denoiser(x, sigma, threshold=threshold * SIGMA_DATA):
            return torch.where(expand(sigma >= threshold, x), P_BIAS(x, sigma), P_DATA(x, sigma))

        shares.append(share_of(denoiser))
    tolerance = 4 * (0.25 / 2000) ** 0.5 + 0.003  # four binomial standard errors, and the sampler's
    assert shares == sorted(shares)
    assert abs(shares[0] - 0.2) < tolerance and abs(shares[-1] - 0.5) < tolerance
    assert shares[1] < 0.25, "in the 2-D example the mode is decided above half the data's spread"


# ---------------------------------------------------------------- domain guidance


def test_guided_gaussians_are_the_gaussian_of_the_shifted_mean():
    """Denoisers of N(m, s^2) are linear in m: D_w is the exact denoiser of N(m_obs + w (m_ref - m_obs), s^2)."""
    observed, reference = (GaussianMixture((1.0,), (mean,)) for mean in ((0.0, 1.0), (2.0, -1.0)))
    x, sigma = torch.randn(20, 2, dtype=torch.float64), torch.rand(20, dtype=torch.float64) * 5
    for w in (-1.0, 0.5, 3.0):
        exact = GaussianMixture((1.0,), ((2 * w, 1 - 2 * w),))
        guided = domain_guidance.Guided(observed, reference, w)
        assert torch.allclose(guided(x, sigma), exact(x, sigma), atol=1e-12)


def test_its_ends_are_the_two_models_and_beyond_one_it_overshoots():
    x, sigma = torch.randn(20, 2), torch.rand(20) * 5
    guided = {w: domain_guidance.Guided(P_BIAS, P_DATA, w) for w in (0.0, 0.5, 1.0, 2.0)}
    assert torch.allclose(guided[0.0](x, sigma), P_BIAS(x, sigma))
    assert torch.allclose(guided[1.0](x, sigma), P_DATA(x, sigma), atol=1e-6)
    shares = [share_of(denoiser) for denoiser in guided.values()]
    assert shares == sorted(shares) and 0.25 < shares[1] < 0.45 and shares[3] > 0.55


def test_it_guides_its_base_by_the_reference_s_model(problem):
    base, method = points(1), baselines.baseline("domain_guidance", w=0.5)
    log = method.fit(problem, base, SMALL, 0)
    reference, trained = baselines.trained_once(problem, "dsm_ref", SMALL, 0)
    x, sigma = torch.randn(5, 2), torch.ones(5)
    assert torch.allclose(method.denoiser()(x, sigma), (base(x, sigma) + reference(x, sigma)) / 2, atol=1e-6)
    assert log.steps == trained.steps and log.evaluations == 2
    assert log.extra_parameters == sum(p.numel() for p in reference.parameters())


# ---------------------------------------------------------------- what they refuse, and what is tried of them


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("fine_tuning", {"start": "dsm_ref"}, "start='dsm_ref': must be one of dsm_bias, dsm_obs"),
        ("fine_tuning", {"held": 0.0}, r"held=0.0: must lie in \(0, 1\)"),
        ("fine_tuning", {"held": 1.0}, r"held=1.0: must lie in \(0, 1\)"),
        ("ambient", {"threshold": -1.0}, "threshold=-1.0: must be finite and not negative"),
        ("ambient", {"threshold": math.inf}, "threshold=inf: must be finite"),
        ("domain_guidance", {"w": math.nan}, "w=nan: must be finite"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_trained(name, options, says):
    with pytest.raises(ValueError, match=says):
        baselines.baseline(name, **options)


def test_one_reference_sample_is_too_few_to_hold_one_out():
    lonely = baselines.problem("gmm", seed=0, n=300, n_reference=1)
    with pytest.raises(ValueError, match="problem=gmm: has one reference sample"):
        baselines.baseline("fine_tuning").fit(lonely, points(), SMALL, 0)


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_what_is_tried_of_a_baseline_are_values_of_its_options(name):
    grid = baselines.baseline(name).tried
    for option, values in grid.items():
        built = [baselines.baseline(name, **{option: value}) for value in values]
        assert [getattr(baseline, option) for baseline in built] == values and len(set(values)) == len(values)


# ---------------------------------------------------------------- made once


def test_a_row_is_made_once_for_its_options_budget_and_problem(problem, monkeypatch):
    made = []
    monkeypatch.setattr(baselines.comparison, "evaluate", lambda *a, **k: made.append(k) or ({"d": 1.0}, x))
    x = torch.arange(6.0).view(3, 2)
    domain = {"w": 0.5}

    def row(options=domain, budget=SMALL, seed=0, n=3, target=()):
        built = baselines.baseline("domain_guidance", **options)
        return baselines.measured_once(built, problem, budget, seed, n=n, target=target)

    measures, samples = row()
    assert measures == {"d": 1.0} and torch.equal(samples, x)
    assert row()[0] == measures and len(made) == 1
    other = baselines.Budget(**{**SMALL.__dict__, "sampling_steps": 9})
    changes = ({"options": {"w": 0.6}}, {"budget": other}, {"seed": 1}, {"n": 2}, {"target": (0.3, 0.7)})
    for number, change in enumerate(changes, 2):
        row(**change)
        assert len(made) == number, change
    assert made[2]["steps"] == 9 and made[5]["target"] == (0.3, 0.7)


def test_a_fitted_baseline_has_the_key_of_one_that_is_not(problem):
    method = baselines.baseline("fine_tuning")
    before = repr(method)
    method.fit(problem, points(), SMALL, 0)
    assert method.held_out_losses and repr(method) == before


# ---------------------------------------------------------------- problems of images


@pytest.mark.slow
def test_a_setting_is_a_problem_with_u_nets_and_all_that_a_baseline_requires():
    found = baselines.problem("digits-colour-90", seed=1)
    assert (
        found.shape == (3, 8, 8) and found.biased.shape == (500, 3, 8, 8) and found.reference.shape[0] == 50
    )
    assert found.biased_shares[0] == pytest.approx(0.9) and found.group_names == ("red", "blue")
    seen = torch.cat([found.biased, found.reference]).flatten(1)
    assert torch.cdist(found.heldout.flatten(1), seen).min() > 1e-3
    named = found.classifier.predict(found.heldout).numpy()
    assert np.bincount(named).tolist() == [len(named) // 2] * 2
    confusion = found.judge.confusion
    assert confusion.sum() == 1797 - 550 and confusion.trace() == confusion.sum()
    sigma = torch.ones(2)
    assert found.denoiser()(found.heldout[:2], sigma).shape == (2, 3, 8, 8)
    for name, options in (("ambient", {}), ("ddm_balanced", {}), ("invdiff", {"noises": 1})):
        tiny = baselines.Budget(steps=2, tune_steps=2, batch_size=8, sampling_steps=3)
        method = baselines.baseline(name, **options)
        measures, x = baselines.measured_once(method, found, tiny, 0, n=8)
        assert x.shape == (8, 3, 8, 8) and 0 <= measures["unsure"] <= 1
