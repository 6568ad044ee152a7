"""The loop: it resumes bit for bit, refuses what it must, and its average is an average."""

import itertools
from dataclasses import dataclass, replace

import pytest
import torch
from safetensors.torch import load_file

from tiwlib import batches, training
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA, SIGMA_DATA
from tiwlib.networks import image_denoiser, point_denoiser, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import METHODS, dsm
from tiwlib.runs import checkpoints

NOISE_DISTRIBUTION = LogNormal.for_data(SIGMA_DATA)
SCHEDULE = training.Schedule(steps=30, batch_size=32, log_every=5, checkpoint_minutes=0, ema_half_life=5)


def observed(pi=0.5):
    generator = torch.Generator().manual_seed(0)
    return batches.Observed(P_BIAS.sample(200, generator), P_DATA.sample(50, generator), pi)


def run(denoiser, method="tiw_dsm", schedule=SCHEDULE, **options):
    return training.train(
        denoiser, METHODS[method], observed(), NOISE_DISTRIBUTION, schedule, ratio=EXACT_RATIO, **options
    )


def points(seed=0):
    return seeded(point_denoiser, 2, SIGMA_DATA, 16, seed=seed)


def newest_states(*steps):
    return [f"step-{step:09d}.safetensors" for step in steps]


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("stop_at", [10, 20])
@pytest.mark.parametrize("name", ["points", "images with dropout"])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, name, stop_at):
    if name == "points":
        build, data, noise_distribution, ratio = points, observed(), NOISE_DISTRIBUTION, EXACT_RATIO
    else:
        images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        data = batches.Observed(images[:15], images[15:], 0.5)

        def build(seed=0):
            return seeded(image_denoiser, 1, 8, 8, dropout=0.3, seed=seed)

        class ratio:  # noqa: N801
            log_ratio = staticmethod(lambda x, sigma: x.flatten(1).mean(1))

        noise_distribution = LogNormal()

    def fresh(denoiser, checkpoint):
        return training.train(
            denoiser,
            METHODS["tiw_dsm"],
            data,
            noise_distribution,
            SCHEDULE,
            ratio=ratio,
            checkpoint=tmp_path / checkpoint,
        )

    whole = build()
    whole_losses = [r.loss for r in fresh(whole, "whole")]
    interrupted = build()
    losses = [r.loss for r in itertools.takewhile(lambda r: r.step <= stop_at, fresh(interrupted, "part"))]
    resumed = build(seed=7)  # other weights: everything must come from the checkpoint
    torch.manual_seed(123)
    resumed_losses = [r.loss for r in fresh(resumed, "part")]
    assert torch.equal(weights(whole), weights(resumed))
    assert whole_losses == resumed_losses and whole_losses[: len(losses)] == losses


def test_every_step_draws_anew_and_every_seed_differs():
    reports = list(run(points(), schedule=training.Schedule(steps=6, batch_size=16, lr=1e-12, log_every=1)))
    assert len({r.loss for r in reports}) == 6
    one, other = points(), points()
    list(run(one, seed=0))
    list(run(other, seed=1))
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_points_and_lowers_its_loss(name):
    schedule = training.Schedule(steps=120, batch_size=128, lr=3e-3, log_every=30)
    data = observed(METHODS[name].fraction(0.5))
    reports = list(
        training.train(points(), METHODS[name], data, NOISE_DISTRIBUTION, schedule, ratio=EXACT_RATIO)
    )
    assert reports[-1].loss < reports[0].loss


def trajectory(**schedule):
    """Weights after every step of a short run, and the weights that training leaves in the end."""
    denoiser, seen = points(), []
    seen.append(weights(denoiser))
    settings = {"steps": 40, "batch_size": 16, "log_every": 1, "ema_half_life": 5, "warmup": 10, **schedule}
    for _ in run(denoiser, schedule=training.Schedule(**settings)):
        seen.append(weights(denoiser))
    return torch.stack(seen), weights(denoiser)


def test_the_average_of_the_weights_is_what_training_leaves():
    """The average taken again by hand, with diffusers' warm-up of the decay, (1 + k) / (10 + k)."""
    seen, left = trajectory()
    average = seen[0]
    for k, now in enumerate(seen[1:]):
        decay = 0.0 if k == 0 else min(0.5 ** (1 / 5), (1 + k) / (10 + k))
        average = decay * average + (1 - decay) * now
    assert torch.allclose(left, average, atol=1e-6) and not torch.allclose(left, seen[-1], atol=1e-4)


def test_the_learning_rate_warms_up():
    """Adam's first step moves every weight by about the learning rate: a tenth of it with ten steps of warm-up."""
    moved = [
        (trajectory(steps=1, warmup=w)[0][1] - trajectory(steps=1)[0][0]).abs().median() for w in (1, 10)
    ]
    assert (moved[0] / moved[1]).item() == pytest.approx(10, rel=1e-3)


def test_the_schedule_decides_about_flips(monkeypatch):
    calls = []
    monkeypatch.setattr(batches, "flip_half", lambda x0: calls.append(1) or x0)
    trajectory(steps=3)
    assert not calls
    trajectory(steps=3, flip=True)
    assert len(calls) == 3


def test_a_weight_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
    """The loss of the last step before a checkpoint is finite, its update is not: the one before stays."""
    checkpoint, original, steps = tmp_path / "run", torch.optim.Adam.step, []

    def step(self, *arguments, **options):
        original(self, *arguments, **options)
        steps.append(1)
        if len(steps) == 20:
            self.param_groups[0]["params"][0].data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    with pytest.raises(
        FloatingPointError, match="a weight is not finite after step 19; the last good state is in .*15"
    ):
        list(run(points(), checkpoint=checkpoint))
    assert [path.name for path in checkpoints.states(checkpoint)] == newest_states(10, 15)


def test_a_batch_has_the_share_of_reference_samples_that_the_weight_is_told():
    data = batches.Observed(torch.zeros(1000, 1), torch.ones(10, 1), 0.3)
    torch.manual_seed(0)
    assert data.batch(40_000).mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 40_000) ** 0.5)
    natural = batches.Observed(torch.zeros(90, 1), torch.ones(10, 1))
    assert natural.reference_fraction == 0.1


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
    checkpoint = tmp_path / "run"
    ratio = Explodes(17)  # steps 0 to 16 are good
    with pytest.raises(
        FloatingPointError, match=r"the loss is nan at step 17; the last good state is in .*15.safetensors"
    ):
        for _ in training.train(
            points(),
            METHODS["tiw_dsm"],
            observed(),
            NOISE_DISTRIBUTION,
            SCHEDULE,
            ratio=ratio,
            checkpoint=checkpoint,
        ):
            pass
    state = load_file(checkpoints.states(checkpoint)[-1])
    assert len(state["losses"]) == 15 and all(v.isfinite().all() for v in state.values())
    healed = points(seed=3)
    list(run(healed, checkpoint=checkpoint))
    assert weights(healed).isfinite().all()


def test_impossible_sets_and_schedules_are_refused():
    some, none = torch.zeros(5, 2), torch.zeros(0, 2)
    with pytest.raises(ValueError, match="the reference set is empty"):
        batches.Observed(some, none)
    with pytest.raises(ValueError, match="the biased set is empty"):
        batches.Observed(none, some, 0.5)
    with pytest.raises(ValueError, match="reference_fraction=1.5"):
        batches.Observed(some, some, 1.5)
    bad = {
        "steps": 0,
        "batch_size": 0,
        "lr": 0.0,
        "ema_half_life": 0.0,
        "micro_batch": -1,
        "precision": "fp8",
    }
    for name, value in bad.items():
        with pytest.raises(ValueError, match=f"{name}={value!r}: must"):
            training.Schedule(**{"steps": 1, name: value})


def test_a_gradient_gathered_in_parts_is_the_batch_s(tmp_path):
    """Parts of 12, 12 and 8 of 32 samples: the same weights after 30 steps but for the order of float sums."""
    whole, parts = points(), points()
    list(run(whole))
    list(run(parts, schedule=replace(SCHEDULE, micro_batch=12)))
    assert torch.allclose(weights(whole), weights(parts), atol=1e-5) and not torch.equal(
        weights(whole), weights(parts)
    )


def test_bfloat16_is_near_float32_and_only_inside_the_network():
    """One step from the same weights: the losses agree to bfloat16's 8 bits, and stay float32 themselves."""
    found = {}
    for precision in ("fp32", "bf16"):
        schedule = training.Schedule(steps=3, batch_size=64, log_every=1, precision=precision)
        denoiser = points()
        found[precision] = torch.cat([r.losses for r in run(denoiser, schedule=schedule)])
        assert all(p.dtype == torch.float32 for p in denoiser.parameters())
    assert found["bf16"].dtype == torch.float32
    assert torch.allclose(found["bf16"], found["fp32"], rtol=2e-2)
    assert not torch.equal(found["bf16"], found["fp32"])


def test_frozen_weights_stay_and_labels_reach_the_loss():
    """What methods with a frozen base and with labels ask of the loop."""
    seen = []

    class Labelled:
        reference_fraction = 0.0

        def batch(self, n):
            return torch.randn(n, 2), torch.arange(n)

    @dataclass(frozen=True)
    class Counts:
        label: str = "counts"

        def loss(self, denoiser, x0, sigma, noise, ratio, reference_fraction, alpha, labels):
            seen.append(labels)
            return dsm(denoiser, x0, sigma, noise)

    denoiser = points()
    denoiser.backbone.first.requires_grad_(False)
    before = weights(denoiser.backbone.first), weights(denoiser.backbone.last)
    list(
        training.train(
            denoiser, Counts(), Labelled(), NOISE_DISTRIBUTION, training.Schedule(steps=2, batch_size=8)
        )
    )
    assert torch.equal(seen[0], torch.arange(8))
    assert torch.equal(weights(denoiser.backbone.first), before[0])
    assert not torch.equal(weights(denoiser.backbone.last), before[1])
