"""The loop: it resumes bit for bit, refuses what it must, and its average is an average."""

import itertools

import pytest
import torch

from tiwlib import training
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA, SIGMA_DATA
from tiwlib.networks import image_denoiser, point_denoiser, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import METHODS

LAW = LogNormal.for_data(SIGMA_DATA)
SCHEDULE = training.Schedule(steps=30, batch_size=32, log_every=5, checkpoint_every=10, ema_half_life=5)


def observed(pi=0.5):
    generator = torch.Generator().manual_seed(0)
    return training.Observed(P_BIAS.sample(200, generator), P_DATA.sample(50, generator), pi)


def run(denoiser, method="tiw_dsm", schedule=SCHEDULE, **options):
    return training.train(denoiser, METHODS[method], observed(), LAW, schedule, ratio=EXACT_RATIO, **options)


def points(seed=0):
    return seeded(point_denoiser, 2, SIGMA_DATA, 16, seed=seed)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("stop_at", [10, 20])
@pytest.mark.parametrize("name", ["points", "images with dropout"])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, name, stop_at):
    if name == "points":
        build, data, law, ratio = points, observed(), LAW, EXACT_RATIO
    else:
        images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        data = training.Observed(images[:15], images[15:], 0.5)

        def build(seed=0):
            return seeded(image_denoiser, 1, 8, 8, dropout=0.3, seed=seed)

        class ratio:  # noqa: N801
            log_ratio = staticmethod(lambda x, sigma: x.flatten(1).mean(1))

        law = LogNormal()

    def fresh(denoiser, checkpoint):
        return training.train(
            denoiser, METHODS["tiw_dsm"], data, law, SCHEDULE, ratio=ratio, checkpoint=tmp_path / checkpoint
        )

    whole = build()
    whole_losses = [r.loss for r in fresh(whole, "whole.pt")]
    interrupted = build()
    losses = [r.loss for r in itertools.takewhile(lambda r: r.step <= stop_at, fresh(interrupted, "part.pt"))]
    resumed = build(seed=7)  # other weights: everything must come from the checkpoint
    torch.manual_seed(123)
    resumed_losses = [r.loss for r in fresh(resumed, "part.pt")]
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
    reports = list(training.train(points(), METHODS[name], data, LAW, schedule, ratio=EXACT_RATIO))
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
    monkeypatch.setattr(training, "flip_half", lambda x0: calls.append(1) or x0)
    trajectory(steps=3)
    assert not calls
    trajectory(steps=3, flip=True)
    assert len(calls) == 3


def test_a_weight_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
    """The loss of the last step before a checkpoint is finite, its update is not: the one before stays."""
    checkpoint, original, steps = tmp_path / "run.pt", torch.optim.Adam.step, []

    def step(self, *arguments, **options):
        original(self, *arguments, **options)
        steps.append(1)
        if len(steps) == 20:
            self.param_groups[0]["params"][0].data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    with pytest.raises(FloatingPointError, match="a weight is not finite after step 19; the last good state"):
        list(run(points(), checkpoint=checkpoint))
    assert torch.load(checkpoint, weights_only=True)["reports"][-1][0] == 10


def test_a_batch_has_the_share_of_reference_samples_that_the_weight_is_told():
    data = training.Observed(torch.zeros(1000, 1), torch.ones(10, 1), 0.3)
    torch.manual_seed(0)
    assert data.batch(40_000).mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 40_000) ** 0.5)
    natural = training.Observed(torch.zeros(90, 1), torch.ones(10, 1))
    assert natural.reference_fraction == 0.1


def test_flips_mirror_half_of_the_images():
    torch.manual_seed(0)
    x = torch.arange(8.0).repeat(2000, 1, 1, 1)
    mirrored = (training.flip_half(x)[:, 0, 0, 0] == 7).float().mean().item()
    assert mirrored == pytest.approx(0.5, abs=0.045)  # 4 standard errors


class Explodes:
    """A ratio that is not a number from the n-th call on."""

    def __init__(self, n):
        self.left = n

    def log_ratio(self, x, sigma):
        self.left -= 1
        return EXACT_RATIO.log_ratio(x, sigma) * (1.0 if self.left >= 0 else float("nan"))


def test_a_loss_that_is_not_finite_stops_the_run_names_the_step_and_keeps_the_last_good_state(tmp_path):
    checkpoint = tmp_path / "run.pt"
    ratio = Explodes(17)  # steps 0 to 16 are good
    with pytest.raises(
        FloatingPointError, match=r"the loss is nan at step 17; the last good state is in .*run.pt"
    ):
        for _ in training.train(
            points(), METHODS["tiw_dsm"], observed(), LAW, SCHEDULE, ratio=ratio, checkpoint=checkpoint
        ):
            pass
    state = torch.load(checkpoint, weights_only=True)
    assert state["reports"][-1][0] == 10 and all(v.isfinite().all() for v in state["denoiser"].values())
    healed = points(seed=3)
    list(run(healed, checkpoint=checkpoint))
    assert weights(healed).isfinite().all()


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    checkpoint = tmp_path / "run.pt"
    list(run(points(), checkpoint=checkpoint))
    for change in ({"method": "c_only"}, {"seed": 1}, {"alpha": 2.0}, {"identity": {"images": "other"}}):
        with pytest.raises(ValueError, match="belongs to another configuration"):
            next(run(points(), checkpoint=checkpoint, **change))
    with pytest.raises(ValueError, match="belongs to another configuration"):
        next(run(seeded(point_denoiser, 2, SIGMA_DATA, 8, seed=0), checkpoint=checkpoint))


def test_a_checkpoint_cut_short_is_refused_by_name(tmp_path):
    checkpoint = tmp_path / "run.pt"
    list(run(points(), checkpoint=checkpoint))
    checkpoint.write_bytes(checkpoint.read_bytes()[:-500])
    with pytest.raises(ValueError, match="run.pt: cannot be read"):
        next(run(points(), checkpoint=checkpoint))


def test_a_half_written_checkpoint_is_not_used(tmp_path, monkeypatch):
    checkpoint = tmp_path / "run.pt"
    list(itertools.islice(run(points(), checkpoint=checkpoint), 2))
    before = checkpoint.read_bytes()

    def dies(state, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        list(run(points(), checkpoint=checkpoint))
    assert checkpoint.read_bytes() == before


def test_impossible_sets_and_schedules_are_refused():
    some, none = torch.zeros(5, 2), torch.zeros(0, 2)
    with pytest.raises(ValueError, match="the reference set is empty"):
        training.Observed(some, none)
    with pytest.raises(ValueError, match="the biased set is empty"):
        training.Observed(none, some, 0.5)
    with pytest.raises(ValueError, match="reference_fraction=1.5"):
        training.Observed(some, some, 1.5)
    for change in ({"steps": 0}, {"batch_size": 0}, {"lr": 0.0}, {"ema_half_life": 0.0}):
        with pytest.raises(ValueError, match=f"{next(iter(change))}=0"):
            training.Schedule(**{"steps": 1, **change})


def test_saved_weights_are_the_network(tmp_path):
    from safetensors.torch import load_file

    network = points()
    kept = load_file(training.save_weights(network, tmp_path / "w.safetensors"))
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())
