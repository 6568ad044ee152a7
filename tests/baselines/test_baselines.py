"""The methods of the comparison, each against the formula that it is made from; and what they refuse."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from torch import nn

from tiwlib import baselines, gaussians, objectives, training
from tiwlib.backbones import MLP
from tiwlib.baselines import ddm, guidance, invdiff, ratio_guidance
from tiwlib.baselines.classifiers import groups_of
from tiwlib.baselines.comparison import combinations
from tiwlib.baselines.models import Weighted, trained_once
from tiwlib.baselines.problems import in_memory
from tiwlib.data import ImageData, bias
from tiwlib.data.bias import Biased
from tiwlib.data.splits import Split
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, SIGMA_DATA, minority_share
from tiwlib.measures import judges
from tiwlib.networks import image_denoiser, point_denoiser, seeded
from tiwlib.noise import LogNormal, sampling_grid
from tiwlib.sampling import heun, sample, starting_noise

pytestmark = pytest.mark.usefixtures("own_checkpoints")
SMALL = baselines.Budget(steps=30, tune_steps=10, batch_size=32, ratio_steps=10, sampling_steps=8)


@pytest.fixture(scope="module")
def problem():
    return baselines.problem("gmm", seed=0, n=300, n_reference=60)


def points(seed=0, width=16):
    return seeded(point_denoiser, 2, SIGMA_DATA, width, seed=seed)


# ---------------------------------------------------------------- encode and decode


@pytest.mark.parametrize(
    ("network", "shape", "bottleneck"),
    [
        (point_denoiser(2, 1.0, 16), (2,), (16,)),
        (image_denoiser(1, 8, 8), (1, 8, 8), (16, 4, 4)),
        (image_denoiser(3, 32, 8), (3, 32, 32), (16, 8, 8)),
    ],
)
def test_decode_of_encode_is_the_denoiser(network, shape, bottleneck):
    x, sigma = torch.randn(3, *shape), torch.tensor([0.1, 1.0, 20.0])
    h, context = network.encode(x, sigma)
    assert h.shape == (3, *bottleneck)
    assert torch.equal(network.decode(h, context, x, sigma), network(x, sigma))
    moved = network.decode(h + 1, context, x, sigma)
    assert not torch.allclose(moved, network(x, sigma), rtol=1e-3)


def test_seeded_weights_are_drawn_in_the_order_of_the_layers():
    """The same numbers as by hand: a change of the order would change every seeded result."""
    network = seeded(MLP, 2, 3, 8, seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        by_hand = [nn.Linear(2, 8), *(nn.Linear(8, 8) for _ in range(6)), nn.Linear(8, 3)]
    ours = [network.first, *network.level, *network.hidden, network.last]
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(ours, by_hand, strict=True))
    unet = seeded(image_denoiser, 1, 8, 8, seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        again = UNet2DModel(**unet.backbone.model.config)
    assert all(torch.equal(a, b) for a, b in zip(unet.parameters(), again.parameters(), strict=True))


def test_the_mlp_is_the_residual_network_that_it_was_before_it_had_halves():
    network, x, c = seeded(MLP, 2, 2, 8, seed=0), torch.randn(4, 2), torch.randn(4)
    from tiwlib.backbones import embed

    level, h = embed(c, 8), network.first(x)
    for hidden, condition in zip(network.hidden, network.level, strict=True):
        h = h + nn.functional.silu(hidden(nn.functional.silu(h + condition(level))))
    assert torch.equal(network(x, c), network.last(h))


# ---------------------------------------------------------------- the loop takes labels and frozen weights


def test_the_loop_hands_labels_on_and_leaves_frozen_weights_alone():
    def loss(network, x0, sigma, noise, labels):
        assert torch.equal(labels, x0[:, 0] > 0)  # row by row
        return objectives.dsm(network, x0, sigma, noise)

    network, data = points(), torch.randn(50, 2)
    network.backbone.first.requires_grad_(False)
    before = [p.clone() for p in network.parameters()]
    config = training.TrainingConfig(steps=3, batch_size=16, log_every=1)
    list(training.train(network, loss, Weighted(data, data[:, 0] > 0), LogNormal(), config))
    moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert moved[:2] == [False, False] and all(moved[2:])


# ---------------------------------------------------------------- distribution guidance


def predictor(levels=2, features=3, groups=2, hidden=0):
    h = torch.randn(40, levels, features, generator=torch.Generator().manual_seed(1))
    return seeded(guidance.Predictor, torch.tensor([1.0, 2.0])[:levels], h, groups, hidden, seed=0), h


@pytest.mark.parametrize("hidden", [0, 4])
def test_the_predictor_of_one_level_is_its_part_of_all(hidden):
    network, h = predictor(hidden=hidden)
    assert torch.allclose(network.at(h[:, 1], 1), network(h)[:, 1], atol=1e-6)
    assert not torch.allclose(network.at(h[:, 1], 0), network(h)[:, 1], atol=1e-2)


def guided(network=None, gamma=0.5, temperature=2.0, target=(0.3, 0.7)):
    return guidance.Guided(network, ((predictor()[0], target),), temperature, gamma)


def test_h_moves_by_the_formula_and_not_with_the_size_of_the_batch():
    """dL/dh by hand: L = sum_k (q_k - p_k)^2 / p_k, q = mean softmax(z / T), z linear in h."""
    moves, p = guided(), torch.tensor([0.3, 0.7])
    adp, h = moves.predictors[0][0], torch.randn(6, 3)
    scale = adp.weights[0][1] / adp.spread[1] / 2.0  # dz/dh, over T: (F, G)
    q = (adp.at(h, 1) / 2.0).softmax(1)  # (B, G)
    outer = 2 * (q.mean(0) - p) / p / len(h)  # dL/dq_i
    logits = q * (outer - (q * outer).sum(1, keepdim=True))  # dL/d(z_i / T)
    expected = h - 0.5 * len(h) * logits @ scale.T
    assert torch.allclose(moves.moved(h, 1), expected, atol=1e-6)
    twice = moves.moved(torch.cat([h, h]), 1)
    assert torch.allclose(twice[:6], expected, atol=1e-6)  # the same mean, the same step


def test_a_guided_sample_depends_on_its_batch_where_the_denoiser_s_own_does_not():
    network, x = points(width=3), torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    moves, near = guided(network, gamma=50.0), torch.full((6,), 2.0)
    assert torch.allclose(network(x, near)[:3], network(x[:3], near[:3]), atol=1e-6)
    assert not torch.allclose(moves(x, near)[:3], moves(x[:3], near[:3]), atol=1e-3)


def test_a_step_brings_the_mean_prediction_nearer_to_the_target():
    moves, h = guided(gamma=0.1, target=(0.9, 0.1)), torch.randn(200, 3)
    adp = moves.predictors[0][0]
    before, after = ((adp.at(part, 0) / 2).softmax(1).mean(0)[0] for part in (h, moves.moved(h, 0)))
    assert abs(after - 0.9) < abs(before - 0.9)


def test_several_attributes_add_their_gradients():
    one, two = predictor(groups=2)[0], predictor(groups=3)[0]
    h = torch.randn(5, 3)
    parts = [((one, (0.5, 0.5)),), ((two, (0.2, 0.3, 0.5)),)]
    step = [guidance.Guided(None, part, 2.0, 1.0).moved(h, 0) - h for part in parts]
    both = guidance.Guided(None, parts[0] + parts[1], 2.0, 1.0).moved(h, 0) - h
    assert torch.allclose(both, step[0] + step[1], atol=1e-6)


def test_guidance_touches_only_its_levels_and_moves_what_is_decoded():
    network = points(width=3)
    x, near, far = torch.randn(5, 2), torch.full((5,), 2.0), torch.full((5,), 3.0)
    moves = guided(network, gamma=5.0)
    assert torch.equal(moves(x, far), network(x, far))
    h, context = network.encode(x, near)
    assert torch.equal(moves(x, near), network.decode(moves.moved(h, 1), context, x, near))
    assert not torch.allclose(moves(x, near), network(x, near), atol=1e-3)


def test_predictors_read_the_samplers_own_way():
    """h kept at a level is that of the point which a step begins with, and its label that of the final sample."""
    network, grid = points(), sampling_grid(6, SIGMA_DATA)
    x = starting_noise(range(8), (2,), 0) * grid[0]
    kept, seen = [], []
    heun(guidance.Trajectories(network, grid[2:4], kept), x, grid)
    heun(lambda x, sigma: seen.append((x, sigma)) or network(x, sigma), x, grid)
    calls = [network.encode(*call)[0] for call in seen if call[1][0] == grid[2]]
    ours = [h for level, h in kept if level == 0]
    assert len(ours) == 2 and all(torch.equal(a, b) for a, b in zip(ours, calls, strict=True))


@pytest.mark.parametrize("target", [(0.5, 0.6), (1.0, 0.0), (-0.5, 1.5)])
def test_a_target_that_is_no_distribution_is_refused_before_anything_is_trained(problem, target):
    with pytest.raises(ValueError, match="target=.*must be positive in every group and sum to one"):
        baselines.baseline("adp", target=target)
    with pytest.raises(ValueError, match="target=.*must be positive in every group and sum to one"):
        guidance.Attribute(problem.classifier, target)


def test_a_classifier_of_another_number_of_groups_is_refused(problem):
    with pytest.raises(ValueError, match="classifier: knows 2 groups, the target 3"):
        baselines.baseline("adp", target=(0.2, 0.3, 0.5)).fit(problem, points(), SMALL, 0)


# ---------------------------------------------------------------- InvDiff


@pytest.mark.parametrize(("base", "shape"), [(points(), (2,)), (image_denoiser(1, 8, 8), (1, 8, 8))])
def test_delta_starts_at_zero(base, shape):
    network = invdiff.Added(base, 16, 8, 0.8)
    x, sigma = torch.randn(5, *shape), torch.rand(5) + 0.1
    assert torch.allclose(network(x, sigma), base(x, sigma), atol=1e-6)
    nn.init.normal_(network.delta.last.weight)
    assert not torch.allclose(network(x, sigma), base(x, sigma), atol=1e-3)


def test_only_delta_learns(problem):
    base, x, sigma = points(), torch.randn(5, 2), torch.rand(5) + 0.1
    before = [p.clone() for p in base.parameters()]
    method = baselines.baseline("invdiff_oracle", width=8)
    method.fit(problem, base, SMALL, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, base.parameters(), strict=True))
    assert not torch.allclose(method.denoiser()(x, sigma), base(x, sigma), atol=1e-4)


def test_the_added_module_is_the_mixture_of_the_formula():
    """r D_Delta + (1 - r) D_base; on an image Delta is applied place by place."""
    base = image_denoiser(1, 8, 8).eval()
    network = invdiff.Added(base, 16, 8, 0.8)
    nn.init.normal_(network.delta.last.weight)
    x, sigma = torch.randn(3, 1, 8, 8), torch.tensor([0.2, 1.0, 5.0])
    h, context = base.encode(x, sigma)
    moved = h.clone()
    for i, j in np.ndindex(4, 4):
        moved[:, :, i, j] += network.delta(h[:, :, i, j], sigma.log() / 4)
    expected = 0.8 * base.decode(moved, context, x, sigma) + 0.2 * base(x, sigma)
    assert torch.allclose(network(x, sigma), expected, atol=1e-5)


def test_the_loss_is_the_mean_and_the_variance_of_the_groups():
    """Two groups of 2 and 2 samples: L_g are their plain means when the groups have equal parts of the batch."""
    network, x0 = points(), torch.randn(4, 2)
    sigma, noise = torch.rand(4) + 0.1, torch.randn(4, 2)
    each = objectives.dsm(network, x0, sigma, noise)
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    loss = partial(invdiff.equal_groups, variance=0.7)
    a, b = each[:2].mean(), each[2:].mean()
    expected = (a + b) / 2 + 0.7 * ((a - b) / 2) ** 2
    assert torch.allclose(loss(network, x0, sigma, noise, labels), expected)
    alone = loss(network, x0[:2], sigma[:2], noise[:2], labels[:2])
    assert alone.isfinite()  # a batch without a group


def test_the_hardest_samples_spread_the_groups_the_most():
    errors = torch.tensor([0.1, 0.9, 0.2, 0.8, 0.3])
    groups = invdiff.hardest(errors, 0.4)
    assert groups.tolist() == [0, 1, 0, 1, 0]

    def gap(of):
        return errors[of == 1].mean() - errors[of == 0].mean()

    pairs = [torch.isin(torch.arange(5), torch.tensor(pair)).long() for pair in [(0, 1), (2, 3), (1, 4)]]
    assert all(gap(groups) > gap(other) for other in pairs)


def test_denoising_errors_are_those_of_the_closed_form():
    """A denoiser that always says 0: the error is |x0|^2 / d at every level, over its mean."""
    x0 = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    errors = invdiff.denoising_errors(lambda x, sigma: 0 * x, x0, (1.0, 2.0), 3, 0)
    assert torch.allclose(errors, torch.tensor([0.2, 1.8]))


def test_the_error_at_large_noise_finds_the_rare_mode():
    """With the exact denoiser of the biased mixture: area under the curve, by ranks; chance is 0.5."""
    from sklearn.metrics import roc_auc_score

    x0 = P_BIAS.sample(500, torch.Generator().manual_seed(0))
    levels = tuple(s * SIGMA_DATA for s in invdiff.InvDiff.sigmas)
    errors = invdiff.denoising_errors(P_BIAS, x0, levels, 8, 0)
    assert roc_auc_score(x0.sum(1) > 0, errors) > 0.95


@pytest.mark.parametrize("options", [{"share": 0.0}, {"share": 1.0}, {"r": 0.0}, {"r": 1.5}])
def test_shares_that_are_none_are_refused(options):
    with pytest.raises(ValueError, match="must lie in"):
        baselines.baseline("invdiff", **options)


# ---------------------------------------------------------------- DDM


def ddm_batch():
    network = ddm.WithIndicator(points(), 2, 2)
    x0, labels = torch.randn(16, 2), torch.randint(2, (16,))
    return network, x0, torch.rand(16) + 0.1, torch.randn(16, 2), labels


def test_released_loss_is_dsm_without_the_indicator_and_has_both_parts_with_it():
    network, x0, sigma, noise, labels = ddm_batch()
    plain = objectives.dsm(network.denoiser, x0, sigma, noise)
    assert torch.allclose(ddm.with_labels(network, x0, sigma, noise, labels, w=0.0), plain)
    x = x0 + sigma[:, None] * noise
    predicted = (x - network(x, sigma)) / sigma[:, None]
    likelihood = network.indicator(predicted).softmax(1)[torch.arange(16), labels]
    expected = 0.7 * plain - 0.3 * likelihood.log()
    loss = ddm.with_labels(network, x0, sigma, noise, labels, w=0.3)
    assert torch.allclose(loss, expected, atol=1e-5)


def test_the_indicators_gradient_reaches_both_networks():
    network, x0, sigma, noise, labels = ddm_batch()
    _, classification = ddm.both_parts(network, x0, sigma, noise, labels)
    classification.mean().backward()
    for part in (network.denoiser.backbone.first, network.indicator[1]):
        assert part.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["invdiff_oracle", "ddm_balanced"])
def test_what_is_drawn_has_every_group_as_often(problem, name, monkeypatch):
    """The groups of 20,000 draws, within four standard errors of equal numbers."""
    seen = {}

    def spy(network, loss, data, *rest):
        seen["data"] = data
        return []

    module = ddm if name == "ddm_balanced" else invdiff
    method, base = baselines.baseline(name), points()
    monkeypatch.setattr(module, "train", spy)
    method.fit(problem, base, SMALL, 0)
    groups = method.groups(problem, base, 0)
    torch.manual_seed(0)
    drawn = seen["data"].batch(20_000)
    x0 = drawn[0] if isinstance(drawn, tuple) else drawn
    row = {tuple(point): g for point, g in zip(problem.biased.tolist(), groups.tolist(), strict=True)}
    share = np.mean([row[tuple(point)] for point in x0.tolist()])
    assert share == pytest.approx(0.5, abs=4 * (0.25 / 20_000) ** 0.5)


def test_more_clusters_than_samples_are_refused(problem):
    with pytest.raises(ValueError, match="clusters=301: must be at most 300"):
        baselines.baseline("ddm_balanced", clusters=301).fit(problem, points(), SMALL, 0)


def test_the_balanced_variant_leaves_its_base_alone(problem):
    base = points()
    before = [p.clone() for p in base.parameters()]
    baselines.baseline("ddm_balanced").fit(problem, base, SMALL, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, base.parameters(), strict=True))


# ---------------------------------------------------------------- ratio guidance


def test_ratio_guidance_of_exact_parts_draws_the_unbiased_density():
    """The observed mixture's denoiser and the exact ratio: TIW-DSM's minimiser, point by point, and its share."""
    pi = 0.2
    observed = P_BIAS.mix(gaussians.P_DATA, pi)
    moves = ratio_guidance.Guided(observed.denoised, EXACT_RATIO, pi)
    x, sigma = 3 * torch.randn(50, 2, dtype=torch.float64), torch.rand(50, dtype=torch.float64) * 5
    assert torch.allclose(moves(x, sigma), gaussians.P_DATA.denoised(x, sigma), atol=1e-9)
    drawn = sample(moves, 4000, (2,), steps=20, sigma_data=SIGMA_DATA, batch_size=4000)
    assert abs(minority_share(drawn) - 0.5) < 4 * (0.25 / 4000) ** 0.5 + 0.003


# ---------------------------------------------------------------- divergence


def test_samples_that_diverge_are_reported_with_the_step_and_the_level():
    grid = sampling_grid(10)

    def explodes(x, sigma):
        return x * (math.nan if sigma[0] <= grid[4] else 0)

    with pytest.raises(
        FloatingPointError, match=rf"diverge at step 3 of 10 \(sigma={grid[3]:.3g}\).*strength"
    ):
        heun(explodes, torch.randn(4, 2) * 80, grid)


def test_too_strong_a_guidance_is_reported(problem):
    network = points()
    method = baselines.baseline("adp", gamma=1e6, seeds=40, steps=5)
    log = method.fit(problem, network, SMALL, 0)
    with pytest.raises(FloatingPointError, match="diverge at step .*guidance strength"):
        baselines.evaluate(problem, method.denoiser(), log, n=50, steps=8)


# ---------------------------------------------------------------- the interface


@pytest.mark.parametrize(
    ("name", "lacks", "says"),
    [
        ("tiw_dsm", "reference", "has no reference, which TIW-DSM requires"),
        ("ratio_guidance", "reference", "has no reference"),
        ("fine_tuning", "reference", "has no reference, which fine-tuning requires"),
        ("ambient", "reference", "has no reference"),
        ("domain_guidance", "reference", "has no reference"),
        ("invdiff_oracle", "labels", "has no labels, which InvDiff, true groups requires"),
        ("ddm_released", "labels", "has no labels"),
        ("adp", "classifier", "has no classifier, which distribution guidance requires"),
    ],
)
def test_a_problem_without_what_a_method_requires_is_refused(problem, name, lacks, says):
    with pytest.raises(ValueError, match=says):
        baselines.baseline(name).fit(dataclasses.replace(problem, **{lacks: None}), points(), SMALL, 0)


WITH_BASE = (
    "adp",
    "invdiff",
    "invdiff_oracle",
    "ddm_balanced",
    "ratio_guidance",
    "fine_tuning",
    "domain_guidance",
)


@pytest.mark.parametrize("name", WITH_BASE)
def test_a_missing_base_model_is_refused(problem, name):
    with pytest.raises(ValueError, match="base=None: .* requires the model dsm_"):
        baselines.baseline(name).fit(problem, None, SMALL, 0)


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_what_a_method_does_not_require_it_does_not_touch(problem, name):
    """Everything that is not required is taken away; the method still fits and samples."""
    method = baselines.baseline(name, **({"seeds": 40, "steps": 5} if name == "adp" else {}))
    given = ("reference", "labels", "classifier")
    poor = dataclasses.replace(problem, **{n: None for n in given if not getattr(method.requires, n)})
    base = baselines.base_of(method, problem, SMALL, 0)
    log = method.fit(poor, base, SMALL, 0)
    measures, x = baselines.evaluate(problem, method.denoiser(), log, n=60, steps=SMALL.sampling_steps)
    assert x.shape == (60, 2) and x.isfinite().all()
    assert measures["evaluations"] == (2 * 8 - 1) * log.evaluations
    larger = ("adp", "invdiff", "invdiff_oracle", "ratio_guidance", "domain_guidance")
    assert (log.extra_parameters > 0) == (name in larger)
    assert sum(measures["group_shares"]) == pytest.approx(1)


def test_what_is_required_is_said_in_words():
    said = {name: str(baselines.baseline(name).requires) for name in baselines.BASELINES}
    assert said["dsm_bias"] == "nothing" and said["tiw_dsm"] == "reference"
    assert said["adp"] == "classifier, target, base model"
    assert said["invdiff"] == "base model, a guess (rare share)"


def test_a_falling_learning_rate_is_that_of_all_trainings():
    for decay in (False, True):
        budget = dataclasses.replace(SMALL, lr_decay=decay)
        configs = (budget.training(), budget.tuning(), budget.experiment("tiw_dsm", 0).training)
        assert [config.lr_decay for config in configs] == [decay] * 3
        assert [config.steps for config in configs] == [30, 10, 30]


def test_names_that_are_not_known_are_refused():
    with pytest.raises(ValueError, match="method='gan': must be one of dsm_bias, dsm_ref"):
        baselines.baseline("gan")
    with pytest.raises(ValueError, match="problem='mnist': must be one of gmm, 0v1, .*digits-colour-90"):
        baselines.problem("mnist")
    with pytest.raises(ValueError, match="method='adp': .*'gama'"):
        baselines.baseline("adp", gama=1.0)
    with pytest.raises(ValueError, match="steps=0: must be positive"):
        baselines.Budget(steps=0)
    with pytest.raises(ValueError, match="adp: is not fitted yet"):
        baselines.baseline("adp").denoiser()


def test_a_model_is_trained_once_for_a_problem_and_a_seed(problem, monkeypatch, tmp_path):
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path))
    network, log = trained_once(problem, "dsm_bias", SMALL, 0)
    monkeypatch.setattr(training, "train", lambda *a, **k: pytest.fail("trained again"))
    again, log_again = trained_once(problem, "dsm_bias", SMALL, 0)
    assert log_again.seconds == log.seconds and log_again.steps == log.steps
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    other = dataclasses.replace(SMALL, tune_steps=99)  # nothing of a model trained from nothing
    assert trained_once(problem, "dsm_bias", other, 0)[1].seconds == log.seconds
    for change in ({"seed": 1}, {"name": "dsm_obs"}, {"budget": dataclasses.replace(SMALL, steps=31)}):
        arguments = {"problem": problem, "name": "dsm_bias", "budget": SMALL, "seed": 0, **change}
        with pytest.raises(BaseException, match="trained again"):
            trained_once(**arguments)


# ---------------------------------------------------------------- problems and measures


@pytest.mark.parametrize(("name", "share"), [("gmm", 0.1), ("0v1", 13 / 133), ("low-high", 0.1)])
def test_problems_are_biased_and_what_they_are_compared_with_is_balanced_and_new(name, share):
    found = baselines.problem(name, seed=1)
    assert found.labels.double().mean().item() == pytest.approx(share, abs=0.02)
    judged = groups_of(found.judge, found.heldout)
    heldout = np.bincount(judged) / len(found.heldout)
    assert np.abs(heldout - 0.5).max() < 0.05
    if name != "gmm":  # no held-out image is among those that methods see
        seen = torch.cat([found.biased, found.reference]).flatten(1)
        assert torch.cdist(found.heldout.flatten(1), seen).min() > 1e-3
        confusion = found.judge.confusion
        assert confusion.trace() / confusion.sum() > 0.95
    named = found.classifier.predict(found.heldout).numpy()
    assert (named == judged).mean() > 0.9


def test_a_setting_that_leaves_a_group_without_held_out_images_is_refused_before_a_judge_is_trained(
    monkeypatch,
):
    """Five of the ten eights are biased and five reference: none is left to compare samples with."""
    images = np.zeros((200, 1, 8, 8), np.uint8)
    data = ImageData("toy", images, np.repeat(np.arange(2), [190, 10]), ("seven", "eight"), "0" * 64)
    split = Split("toy-50", 0, {}, np.r_[0:40, 190:195], np.r_[40:45, 195:200])
    with pytest.raises(ValueError, match="problem=toy-50: .* all images of group 'eight'"):
        in_memory(Biased(data, split), judge=None)
    monkeypatch.setattr(bias, "load", lambda *a, **k: Biased(data, split))
    monkeypatch.setattr(judges, "of_data", lambda *a: pytest.fail("a judge is trained"))
    with pytest.raises(ValueError, match="problem=toy-50: .* all images of group 'eight'"):
        baselines.problem("digits-lt")


def test_a_digit_is_the_same_as_a_point_and_as_an_image():
    flat, image = (baselines.problem("0v1", network=network) for network in ("mlp", "unet"))
    assert flat.shape == (64,) and image.shape == (1, 8, 8)
    assert torch.equal(flat.biased, image.biased.flatten(1))
    sigma = torch.ones(3)
    assert image.denoiser()(image.biased[:3], sigma).shape == (3, 1, 8, 8)
    network = flat.ratio_network().eval()
    assert torch.equal(network(flat.biased[:3], sigma), network(image.biased[:3], sigma))
    with pytest.raises(ValueError, match="network='vit': must be 'mlp' or 'unet'"):
        baselines.problem("0v1", network="vit")


# ---------------------------------------------------------------- putting runs together


def test_the_choice_is_the_fairest_that_costs_no_quality():
    rows = [
        {"gamma": 1, "fairness_discrepancy": 0.3, "frechet": 0.9},
        {"gamma": 2, "fairness_discrepancy": 0.1, "frechet": 1.0},
        {"gamma": 3, "fairness_discrepancy": 0.0, "frechet": 1.5},
        {"gamma": 4, "failed": "samples diverge"},
    ]
    assert baselines.chosen(rows, 1.0)["gamma"] == 2
    assert baselines.chosen(rows, 0.5)["gamma"] == 1
    with pytest.raises(ValueError, match="no combination of options gives samples"):
        baselines.chosen(rows[3:], 1.0)
    assert combinations({"a": [1, 2], "b": [3]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]


def test_a_summary_has_the_interval_and_every_seed():
    rows = [{"d": v, "group_shares": [v, 1 - v], "group": [None, v]} for v in (0.1, 0.2, 0.3)]
    found = baselines.summary(rows)
    half = 4.302652729911275 * 0.1 / 3**0.5  # Student's t with two degrees of freedom
    assert found["d"]["mean"] == pytest.approx(0.2) and found["d"]["seeds"] == [0.1, 0.2, 0.3]
    assert found["d"]["high"] == pytest.approx(0.2 + half)
    assert found["group_shares"]["mean"] == pytest.approx([0.2, 0.8])
    assert found["group"]["mean"][0] is None
    assert baselines.summary(rows[:1])["d"] == {"mean": 0.1, "low": None, "high": None, "seeds": [0.1]}


# ---------------------------------------------------------------- what a fit hands on


def test_ratio_guidance_weighs_by_the_share_that_its_base_has_seen(problem):
    baseline = baselines.baseline("ratio_guidance")
    baseline.fit(problem, points(), SMALL, 0)
    assert baseline.denoiser().reference_fraction == 60 / 360


def test_predictors_learn_from_the_start_of_a_step_with_every_group_as_heavy(problem, monkeypatch):
    """Heun asks at an inner level at the end of a step and at the start of the next, where guidance will be."""
    seen = {}

    def spy(predictor, loss, data, *rest):
        seen["loss"], seen["data"] = loss, data
        return []

    monkeypatch.setattr(guidance, "train", spy)
    base, baseline = points(), baselines.baseline("adp", seeds=40, steps=5)
    baseline.fit(problem, base, SMALL, 0)

    grid = sampling_grid(SMALL.sampling_steps, SIGMA_DATA)
    levels = [s for s in grid[1:-1] if 0.6 * SIGMA_DATA <= s <= 6 * SIGMA_DATA]
    asked = {}
    with torch.no_grad():
        x = starting_noise(range(40), (2,), 10_000) * grid[0]
        samples = heun(lambda x, s: asked.setdefault(s[0].item(), []).append((x, s)) or base(x, s), x, grid)
        starts = torch.stack([base.encode(*asked[s.item()][1])[0] for s in levels], 1)  # (n, L, F)
    assert torch.equal(seen["data"].x0, starts)
    groups = problem.classifier.predict(samples)
    assert torch.equal(seen["data"].labels, groups)
    counts = torch.bincount(groups, minlength=2)
    assert torch.allclose(seen["loss"].keywords["group_weights"], 40 / 2 / counts.clamp_min(1))


def test_predictors_learn_from_any_number_of_trajectories(problem, monkeypatch):
    """The sampler draws whole batches of 500 and cuts the last one: what it cut off has no label."""
    seen = {}
    monkeypatch.setattr(guidance, "train", lambda predictor, loss, data, *rest: seen.update(data=data) or [])
    baselines.baseline("adp", seeds=700).fit(problem, points(), SMALL, 0)
    h, labels = seen["data"].x0, seen["data"].labels
    assert len(h) == len(labels) == 700

    baselines.baseline("adp", seeds=1000).fit(problem, points(), SMALL, 0)
    assert torch.equal(seen["data"].x0[:700], h) and torch.equal(seen["data"].labels[:700], labels)


def test_a_sampler_without_a_guided_level_is_refused_before_anything_is_drawn(problem, monkeypatch):
    monkeypatch.setattr(guidance, "draw", lambda *a: pytest.fail("samples are drawn"))
    with pytest.raises(ValueError, match="sampling_steps=2, .*: no level of the sampler is guided"):
        budget = dataclasses.replace(SMALL, sampling_steps=2)
        baselines.baseline("adp").fit(problem, points(), budget, 0)


def test_invdiff_infers_groups_at_levels_of_the_data_s_scale(problem, monkeypatch):
    seen = []
    errors = invdiff.denoising_errors
    monkeypatch.setattr(invdiff, "denoising_errors", lambda *a: seen.append(a[2]) or errors(*a))
    baselines.baseline("invdiff", noises=1).groups(problem, points(), 0)
    assert seen == [tuple(s * SIGMA_DATA for s in (2.0, 4.0, 8.0))] and SIGMA_DATA != 1


def test_precision_is_of_the_samples_and_recall_of_what_they_are_compared_with(problem):
    """Samples in one tight spot of the held-out set: all of them are real, hardly any of the real is covered."""
    spot = problem.heldout[0]

    def tight(x, sigma):
        return spot + 0.05 * x / (x.norm(dim=1, keepdim=True) + 1e-6)

    measures, _ = baselines.evaluate(problem, tight, baselines.Log(), n=100, steps=4)
    assert measures["precision"] > 0.9 and measures["recall"] < 0.2


@pytest.mark.parametrize("n", [100, 500, 700, 1000])
def test_evaluations_are_those_of_one_sample_whatever_their_number(problem, n):
    """Heun at six levels asks twice at all but the last. 700 samples come in two batches of 500."""
    measures, x = baselines.evaluate(problem, points(), baselines.Log(evaluations=1.5), n=n, steps=6)
    assert len(x) == n and measures["evaluations"] == 1.5 * 11


def test_losses_by_group_are_means_over_samples_and_draws():
    """Against a denoiser whose loss is known: D = 0 has lambda(sigma) mean x0^2, whatever the noise."""
    x0 = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    groups, levels = torch.tensor([0, 1, 1]), Constant(0.5)

    def nothing(x, sigma):
        return torch.zeros_like(x)

    nothing.sigma_data = 0.5
    found = invdiff.group_losses(nothing, x0, groups, levels, draws=3, seed=0)
    weight = (0.5**2 + 0.5**2) / (0.5 * 0.5) ** 2
    assert torch.allclose(found, weight * torch.tensor([1.0, (4 + 9) / 2]))


@dataclasses.dataclass(frozen=True)
class Constant:
    """A noise distribution of one level."""

    level: float

    def sample(self, n, device="cpu"):
        return torch.full((n,), self.level, device=device)


def test_losses_by_group_leave_the_generator_alone_and_have_the_same_noise_for_every_network(problem):
    network, before = points(), torch.get_rng_state()
    given = (problem.biased, problem.labels, problem.noise_distribution)
    found = [invdiff.group_losses(network, *given, draws=2, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), before)
