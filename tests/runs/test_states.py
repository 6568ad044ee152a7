"""States on disk: killed at any moment, told to end, cut short, another run's, a full disk."""

import itertools
import multiprocessing
import os
import resource
import signal
import time
from dataclasses import replace

import pytest
import torch
from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from two_d_training import CONFIG, points, run, state_names, weights

from tiwlib import devices
from tiwlib.networks import point_denoiser, seeded
from tiwlib.runs import cache
from tiwlib.runs.states import Checkpoint

LONG = replace(CONFIG, steps=400)


def train_into(folder, limit=None):
    """A real run in a process of its own, on one thread; leaves its final weights in folder/final.pt."""
    torch.set_num_threads(1)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    denoiser = points()
    list(run(denoiser, LONG, checkpoint=Checkpoint(folder / "run")))
    torch.save(weights(denoiser), folder / "final.partial")
    (folder / "final.partial").rename(folder / "final.pt")


def names(folder):
    """Of the states in a folder, oldest first."""
    return [path.name for path in Checkpoint(folder).states()]


@pytest.fixture(scope="module")
def processes():
    """Processes that start with the library imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "tiwlib.training", "tiwlib.runs.cache"]
    )  # as in test_cache: one server
    return context


def test_a_run_killed_ten_times_ends_with_the_same_weights(tmp_path, processes):
    whole = points()
    list(run(whole, LONG))
    generator, seen = torch.Generator().manual_seed(0), []
    for kill in range(10):  # each within about ten reports from where the one before had come to
        process = processes.Process(target=train_into, args=(tmp_path,))
        process.start()
        before = names(tmp_path / "run")
        while process.is_alive() and names(tmp_path / "run") == before:
            time.sleep(0.001)
        time.sleep(0.05 * torch.rand((), generator=generator).item())
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"kill {kill}: the run had ended"
        seen.append(names(tmp_path / "run")[-1])
    assert seen == sorted(set(seen))  # every life went further than the one before
    process = processes.Process(target=train_into, args=(tmp_path,))
    process.start()
    process.join()
    assert torch.equal(torch.load(tmp_path / "final.pt", weights_only=True), weights(whole))


@pytest.mark.parametrize("number", devices.Stop.SIGNALS)
def test_told_to_end_it_saves_and_goes_on_from_there(tmp_path, number):
    """A signal between two reports; nothing but the signal saves, the interval is an hour."""
    whole, stopped, resumed = points(), points(), points(seed=5)
    list(run(whole))
    config, checkpoint = replace(CONFIG, checkpoint_minutes=60), Checkpoint(tmp_path / "run")
    before = signal.getsignal(number)
    with pytest.raises(devices.Stopped, match=r"told to end at step 11; .*run"):
        for report in run(stopped, config, checkpoint=checkpoint):
            if report.step == 10:
                os.kill(os.getpid(), number)
    assert names(tmp_path / "run") == state_names(11)
    assert [r.step for r in run(resumed, config, checkpoint=checkpoint)] == [5, 10, 15, 20, 25, 30]
    assert torch.equal(weights(resumed), weights(whole))
    assert signal.getsignal(number) == before  # given back


def test_who_interrupts_twice_does_not_wait_for_the_step():
    with devices.Stop() as stop:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pytest.fail("the first one ends the step that is under way")
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_state_is_whole_when_it_has_its_name(tmp_path, monkeypatch):
    listed, write = [], cache.save_file

    def spy(tensors, path, about):
        write(tensors, path, about)
        listed.append(names(tmp_path / "run"))

    monkeypatch.setattr(cache, "save_file", spy)
    list(run(points(), checkpoint=Checkpoint(tmp_path / "run")))
    assert listed[:2] == [[], state_names(5)], "the one that is written has no name yet"


def test_moments_come_back_laid_out_as_their_weights_are(tmp_path):
    """Channels last, as on a GPU and in bfloat16: a fused Adam refuses moments of other strides."""

    def fresh():
        network = torch.nn.Conv2d(8, 8, 3).to(memory_format=torch.channels_last)
        return network, EMAModel(network.parameters()), torch.optim.Adam(network.parameters())

    network, ema, optimiser = fresh()
    network(torch.randn(2, 8, 5, 5)).sum().backward()
    optimiser.step()
    Checkpoint(tmp_path).save({}, torch.zeros(1), 1, network, ema, optimiser)
    again, ema, restored = fresh()
    Checkpoint(tmp_path).load({}, again, ema, restored)
    for p, q in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)
        for name in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(restored.state[q][name], optimiser.state[p][name])
            assert restored.state[q][name].stride() == q.stride() == p.stride()
        assert restored.state[q]["step"] == 1


def test_the_last_two_states_are_kept(tmp_path):
    list(run(points(), checkpoint=Checkpoint(tmp_path / "run")))
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == state_names(25, 30)


def test_states_are_as_far_apart_as_asked(tmp_path):
    list(run(points(), replace(CONFIG, checkpoint_minutes=60), checkpoint=Checkpoint(tmp_path / "run")))
    assert [p.name for p in (tmp_path / "run").iterdir()] == state_names(30)  # the end alone


def test_a_state_of_another_configuration_is_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    list(run(points(), checkpoint=checkpoint, identity={"images": "these"}))
    changes = (
        {"seed": 1},
        {"identity": {"images": "other"}},
        {"config": replace(CONFIG, precision="bf16")},
        {"config": replace(CONFIG, ema_half_life=6)},
    )
    for change in changes:
        options = {"checkpoint": checkpoint, "identity": {"images": "these"}, **change}
        with pytest.raises(ValueError, match="belongs to another configuration"):
            next(run(points(), **options))
    with pytest.raises(ValueError, match="belongs to another configuration"):
        other = seeded(point_denoiser, 2, 2.0, 8, seed=0)
        next(run(other, checkpoint=checkpoint, identity={"images": "these"}))
    same = replace(CONFIG, micro_batch=16, log_every=10, checkpoint_minutes=1)  # how, not what
    resumed = run(points(), same, checkpoint=checkpoint, identity={"images": "these"})
    assert [r.step for r in resumed] == [10, 20, 30]


def test_a_state_cut_short_gives_way_to_the_one_before(tmp_path):
    checkpoint, whole, resumed = Checkpoint(tmp_path / "run"), points(), points(seed=5)
    list(run(whole, checkpoint=checkpoint))
    older, newer = checkpoint.states()
    newer.write_bytes(newer.read_bytes()[:-500])
    with pytest.warns(UserWarning, match="step-000000025.safetensors is taken, for step-000000030"):
        list(run(resumed, checkpoint=checkpoint))
    assert torch.equal(weights(resumed), weights(whole))
    for state in checkpoint.states():
        state.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"run: cannot be read .*delete it to start over"):
        next(run(points(), checkpoint=checkpoint))


@pytest.mark.parametrize("name", ["network.", "ema.0", "optimiser.0.exp_avg", "optimiser.0.step"])
@pytest.mark.parametrize("broken", ["shape", "nan", "missing"])
def test_a_state_with_other_tensors_is_damaged(tmp_path, broken, name):
    """Tensors of a shape that would be broadcast, numbers that are none, tensors that are not there."""
    checkpoint = Checkpoint(tmp_path / "run")
    list(itertools.islice(run(points(), checkpoint=checkpoint), 1))
    (state,) = checkpoint.states()
    with safe_open(state, framework="pt") as file:
        about = file.metadata()
    tensors = load_file(state)
    name = next(key for key in sorted(tensors) if key.startswith(name))
    whole = tensors.pop(name)
    if broken != "missing":
        tensors[name] = torch.ones(1) if broken == "shape" else torch.full_like(whole, torch.nan)
    save_file(tensors, state, about)
    with pytest.raises(
        ValueError, match=rf"run: cannot be read \(step-000000005.*{name} is missing, of another"
    ):
        next(run(points(), checkpoint=checkpoint))


def test_another_number_of_processes_is_said(tmp_path, recwarn):
    checkpoint = Checkpoint(tmp_path / "run")
    list(itertools.islice(run(points(), checkpoint=checkpoint), 2))
    state = checkpoint.states()[-1]
    with safe_open(state, framework="pt") as file:
        about = file.metadata()
    save_file(load_file(state), state, about | {"processes": "2"})
    with pytest.warns(UserWarning, match="made by 2 processes.*resumed by 1.*the same statistically only"):
        list(run(points(), checkpoint=checkpoint))


def test_a_full_disk_is_named_and_the_states_before_stay(tmp_path, processes):
    """A limit on the size of a file, which the kernel enforces, stands for the full disk."""
    folder = tmp_path / "run"
    for _ in run(points(), LONG, checkpoint=Checkpoint(folder)):
        if len(names(folder)) == 2:
            break
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=fails, args=(sender, tmp_path, 2000))
    process.start()
    assert receiver.poll(60), "the process said nothing"
    kind, message = receiver.recv()
    process.join()
    assert kind == "OSError" and "step-" in message and "MB free)" in message
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def fails(sender, folder, limit):
    try:
        train_into(folder, limit)
    except Exception as error:
        sender.send((type(error).__name__, str(error)))
