"""The loop: it resumes bit for bit, refuses what it must, and its average is an average."""

import itertools
import os
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from two_d_training import CONFIG, NOISE_DISTRIBUTION, loss_of, observed, points, run, state_names, weights

from tiwlib import batches, devices, training
from tiwlib.gaussians import EXACT_RATIO
from tiwlib.networks import image_denoiser, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import METHODS, dsm
from tiwlib.runs.states import Checkpoint
from tiwlib.training import TrainingConfig


class Mean:
    """A ratio for images: log r is their mean."""

    def log_ratio(self, x, sigma):
        return x.flatten(1).mean(1)


def images_with_dropout(seed=0):
    return seeded(image_denoiser, 1, 8, 8, dropout=0.3, seed=seed)


def image_run(denoiser, config=CONFIG, **options):
    images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    data = batches.Observed(images[:15], images[15:], 0.5)
    return training.train(denoiser, loss_of(ratio=Mean()), data, LogNormal(), config, **options)


@pytest.mark.parametrize("stop_at", [10, 20])
@pytest.mark.parametrize(("build", "run"), [(points, run), (images_with_dropout, image_run)])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, build, run, stop_at):
    whole = build()
    whole_losses = [r.loss for r in run(whole, checkpoint=Checkpoint(tmp_path / "whole"))]
    part = Checkpoint(tmp_path / "part")
    interrupted = build()
    reports = run(interrupted, checkpoint=part)
    losses = [r.loss for r in itertools.takewhile(lambda r: r.step <= stop_at, reports)]
    resumed = build(seed=7)  # other weights: everything must come from the checkpoint
    torch.manual_seed(123)
    resumed_losses = [r.loss for r in run(resumed, checkpoint=part)]
    assert torch.equal(weights(whole), weights(resumed))
    assert whole_losses == resumed_losses and whole_losses[: len(losses)] == losses


def test_every_step_draws_anew_and_every_seed_differs():
    reports = list(run(points(), TrainingConfig(steps=6, batch_size=16, lr=1e-12, log_every=1)))
    assert len({r.loss for r in reports}) == 6
    one, other = points(), points()
    list(run(one, seed=0))
    list(run(other, seed=1))
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_points_and_lowers_its_loss(name):
    config = TrainingConfig(steps=120, batch_size=128, lr=3e-3, log_every=30)
    data = observed(METHODS[name].fraction(0.5))
    reports = list(training.train(points(), loss_of(name), data, NOISE_DISTRIBUTION, config))
    assert reports[-1].loss < reports[0].loss


def trajectory(**options):
    """Weights after every step of a short run (steps + 1, ...), and the weights that training leaves in the end."""
    denoiser = points()
    after = [weights(denoiser)]
    options = {"steps": 40, "batch_size": 16, "log_every": 1, "ema_half_life": 5, "warmup": 10, **options}
    for _ in run(denoiser, TrainingConfig(**options)):
        after.append(weights(denoiser))
    return torch.stack(after), weights(denoiser)


def test_the_average_of_the_weights_is_what_training_leaves():
    """The average taken again by hand, with diffusers' warm-up of the decay, (1 + k) / (10 + k)."""
    after, left = trajectory()
    average = after[0]
    for k, now in enumerate(after[1:]):
        decay = 0.0 if k == 0 else min(0.5 ** (1 / 5), (1 + k) / (10 + k))
        average = decay * average + (1 - decay) * now
    assert torch.allclose(left, average, atol=1e-6) and not torch.allclose(left, after[-1], atol=1e-4)


@pytest.mark.parametrize(("steps", "half_life"), [(1400, 100), (7, 1)])
def test_by_default_the_average_halves_in_a_fourteenth_of_the_steps(steps, half_life):
    assert TrainingConfig(steps=steps).ema_decay ** half_life == pytest.approx(0.5)
    assert TrainingConfig(steps=steps, ema_half_life=3.0).ema_decay ** 3 == pytest.approx(0.5)


def test_the_learning_rate_warms_up():
    """Adam's first step moves every weight by about the learning rate: a tenth of it with ten steps of warm-up."""
    before = weights(points())
    moved = [(trajectory(steps=1, warmup=warmup)[0][1] - before).abs().median() for warmup in (1, 10)]
    assert (moved[0] / moved[1]).item() == pytest.approx(10, rel=1e-3)


def test_the_learning_rate_decays():
    """Half a cosine: whole at the start, a half in the middle, next to nothing at the last step; and it is used."""
    config = TrainingConfig(steps=101, lr=2e-3, warmup=0, lr_decay=True)
    assert [config.lr_at(step) for step in (0, 50.5, 100)] == pytest.approx([2e-3, 1e-3, 0], abs=5e-7)
    assert replace(config, lr_decay=False).lr_at(100) == 2e-3
    moved = [
        trajectory(warmup=0, lr_decay=decays)[0].diff(dim=0)[-1].abs().mean() for decays in (False, True)
    ]
    assert moved[1] < moved[0] / 50  # the last of 40 steps has (1 + cos(pi 39/40)) / 2 = 0.0015 of the rate


def test_a_trained_denoiser_samples_without_dropout():
    """Otherwise samples would be drawn from a network that is thinned at random: two answers would differ."""
    denoiser = images_with_dropout()
    reports = image_run(denoiser, replace(CONFIG, steps=2, log_every=1))
    next(reports)
    assert denoiser.training, "dropout is part of the training"
    list(reports)
    x, sigma = torch.randn(2, 1, 8, 8), torch.ones(2)
    assert torch.equal(denoiser(x, sigma), denoiser(x, sigma))


def test_the_configuration_decides_about_flips(monkeypatch):
    calls = []
    monkeypatch.setattr(batches, "flip_half", lambda x0: calls.append(1) or x0)
    trajectory(steps=3)
    assert not calls
    trajectory(steps=3, flip=True)
    assert len(calls) == 3


@pytest.mark.parametrize("shape", [(31,), (32, 1), (1,)])
def test_a_loss_of_another_shape_is_refused(shape):
    """(32, 1) broadcasts against the weights of 32 samples to (32, 32): the fault of the authors' code."""

    def loss(denoiser, x0, sigma, noise):
        return torch.zeros(shape) + denoiser(x0, sigma).sum()

    with pytest.raises(ValueError, match=r"the loss has shape \(.*\): must be \(32,\), or a number"):
        next(run(points(), loss=loss))


def test_a_loss_may_be_a_number_for_the_batch():
    """The mean itself in place of its summands: the same weights."""
    one, other = points(), points()
    list(run(one))
    list(run(other, loss=lambda *batch: loss_of()(*batch).mean()))
    assert torch.equal(weights(one), weights(other))


@pytest.mark.parametrize("checkpointed", [True, False])
def test_told_to_end_it_does_so_after_that_very_step(tmp_path, checkpointed):
    """The signal comes within step 12, a report would come at step 1000."""
    calls = []

    def loss(*batch):
        calls.append(1)
        if len(calls) == 12:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss_of()(*batch)

    checkpoint = Checkpoint(tmp_path) if checkpointed else None
    config = replace(CONFIG, steps=2000, log_every=1000, checkpoint_minutes=60)
    where = f"the last good state is in .*{state_names(12)[0]}" if checkpointed else "no state is kept"
    with pytest.raises(devices.Stopped, match=f"told to end at step 12; {where}"):
        list(run(points(), config, loss, checkpoint=checkpoint))
    assert len(calls) == 12
    assert [path.name for path in tmp_path.iterdir()] == (state_names(12) if checkpointed else [])
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # given back


def test_a_weight_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
    """The loss of the last step before a checkpoint is finite, its update is not: the one before stays."""
    checkpoint, original, steps = Checkpoint(tmp_path / "run"), torch.optim.Adam.step, []

    def step(self, *arguments, **options):
        original(self, *arguments, **options)
        steps.append(1)
        if len(steps) == 20:
            self.param_groups[0]["params"][0].data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    message = "a weight is not finite after step 19; the last good state is in .*15.safetensors"
    with pytest.raises(FloatingPointError, match=message):
        list(run(points(), checkpoint=checkpoint))
    assert [path.name for path in checkpoint.states()] == state_names(10, 15)


def test_a_batch_has_the_share_of_reference_samples_that_is_asked_for():
    data = batches.Observed(torch.zeros(1000, 1), torch.ones(10, 1), 0.3)
    torch.manual_seed(0)
    assert data.batch(40_000).mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 40_000) ** 0.5)
    natural = batches.Observed(torch.zeros(90, 1), torch.ones(10, 1))
    assert natural.reference_fraction == 0.1


def test_every_sample_of_both_sets_is_drawn():
    """Of 1,000 draws none of the eight is missing but with probability 1e-38."""
    torch.manual_seed(0)
    samples = batches.Observed(torch.arange(5), torch.arange(10, 13), 0.5).batch(1000)
    assert samples.unique().tolist() == [0, 1, 2, 3, 4, 10, 11, 12]


def test_flips_mirror_half_of_the_images():
    torch.manual_seed(0)
    x = torch.arange(8.0).repeat(2000, 1, 1, 1)
    mirrored = (batches.flip_half(x)[:, 0, 0, 0] == 7).float().mean().item()
    assert mirrored == pytest.approx(0.5, abs=0.045)  # 4 standard errors


class Explodes:
    """A ratio that is not a number from the n-th call on."""

    def __init__(self, n):
        self.left = n

    def log_ratio(self, x, sigma):
        self.left -= 1
        return EXACT_RATIO.log_ratio(x, sigma) * (1.0 if self.left >= 0 else float("nan"))


def test_a_loss_that_is_not_finite_stops_the_run_names_the_step_and_keeps_the_last_good_state(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    loss = loss_of(ratio=Explodes(17))  # steps 0 to 16 are good
    message = r"the loss is nan at step 17; the last good state is in .*15.safetensors"
    with pytest.raises(FloatingPointError, match=message):
        list(run(points(), loss=loss, checkpoint=checkpoint))
    state = load_file(checkpoint.states()[-1])
    assert len(state["losses"]) == 15 and all(v.isfinite().all() for v in state.values())
    healed = points(seed=3)
    list(run(healed, checkpoint=checkpoint))
    assert weights(healed).isfinite().all()


def test_impossible_sets_and_configurations_are_refused():
    some, none = torch.zeros(5, 2), torch.zeros(0, 2)
    with pytest.raises(ValueError, match="the reference set is empty"):
        batches.Observed(some, none)
    with pytest.raises(ValueError, match="the biased set is empty"):
        batches.Observed(none, some, 0.5)
    with pytest.raises(ValueError, match="reference_fraction=1.5"):
        batches.Observed(some, some, 1.5)
    bad = [("steps", 0), ("batch_size", 0), ("lr", 0.0), ("lr", float("nan")), ("ema_half_life", 0.0)]
    bad += [("micro_batch", -1), ("warmup", float("inf")), ("precision", "fp8")]
    for name, value in bad:
        with pytest.raises(ValueError, match=f"{name}={value!r}: must"):
            TrainingConfig(**{"steps": 1, name: value})


def test_a_gradient_gathered_in_parts_is_the_batch_s():
    """Parts of 12, 12 and 8 of 32 samples: the same weights after 30 steps but for the order of float sums."""
    whole, parts = points(), points()
    list(run(whole))
    list(run(parts, replace(CONFIG, micro_batch=12)))
    assert torch.allclose(weights(whole), weights(parts), atol=1e-5)
    assert not torch.equal(weights(whole), weights(parts))


def test_bfloat16_is_near_float32_and_only_inside_the_network():
    """One step from the same weights: the losses agree to bfloat16's 8 bits, and stay float32 themselves."""
    losses = {}
    for precision in ("fp32", "bf16"):
        denoiser = points()
        config = TrainingConfig(steps=3, batch_size=64, log_every=1, precision=precision)
        losses[precision] = torch.cat([r.losses for r in run(denoiser, config)])
        assert all(p.dtype == torch.float32 for p in denoiser.parameters())
    assert losses["bf16"].dtype == torch.float32
    assert torch.allclose(losses["bf16"], losses["fp32"], rtol=2e-2)
    assert not torch.equal(losses["bf16"], losses["fp32"])


def test_frozen_weights_stay_and_labels_reach_the_loss():
    """What methods with a frozen base and with labels ask of the loop."""
    labels_of_steps = []

    class Labelled:
        def batch(self, n):
            return torch.randn(n, 2), torch.arange(n)

    def loss(denoiser, x0, sigma, noise, labels):
        labels_of_steps.append(labels)
        return dsm(denoiser, x0, sigma, noise)

    denoiser = points()
    denoiser.backbone.first.requires_grad_(False)
    before = weights(denoiser.backbone.first), weights(denoiser.backbone.last)
    config = TrainingConfig(steps=2, batch_size=8)
    list(training.train(denoiser, loss, Labelled(), NOISE_DISTRIBUTION, config))
    assert torch.equal(labels_of_steps[0], torch.arange(8))
    assert torch.equal(weights(denoiser.backbone.first), before[0])
    assert not torch.equal(weights(denoiser.backbone.last), before[1])
