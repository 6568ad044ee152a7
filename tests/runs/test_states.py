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
from test_training import SCHEDULE, newest_states, points, run, weights

from tiwlib import devices
from tiwlib.networks import point_denoiser, seeded
from tiwlib.runs import checkpoints

LONG = replace(SCHEDULE, steps=400)


def train_into(folder, limit=None):
    """A real run in a process of its own, on one thread; leaves its final weights in folder/final.pt."""
    torch.set_num_threads(1)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    denoiser = points()
    list(run(denoiser, schedule=LONG, checkpoint=folder / "run"))
    torch.save(weights(denoiser), folder / "final.partial")
    (folder / "final.partial").rename(folder / "final.pt")


@pytest.fixture(scope="module")
def processes():
    """Processes that start with the library imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tiwlib.training"])
    return context


def test_a_run_killed_ten_times_ends_with_the_same_weights(tmp_path, processes):
    whole = points()
    list(run(whole, schedule=LONG))
    generator, seen = torch.Generator().manual_seed(0), []
    for kill in range(10):  # each within about ten reports from where the one before had come to
        process = processes.Process(target=train_into, args=(tmp_path,))
        process.start()
        before = [path.name for path in checkpoints.states(tmp_path / "run")]
        while process.is_alive() and [p.name for p in checkpoints.states(tmp_path / "run")] == before:
            time.sleep(0.001)
        time.sleep(0.05 * torch.rand((), generator=generator).item())
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"kill {kill}: the run had ended"
        seen.append(checkpoints.states(tmp_path / "run")[-1].name)
    assert seen == sorted(set(seen))  # every life went further than the one before
    process = processes.Process(target=train_into, args=(tmp_path,))
    process.start()
    process.join()
    assert torch.equal(torch.load(tmp_path / "final.pt", weights_only=True), weights(whole))


def test_told_to_end_it_saves_and_goes_on_from_there(tmp_path):
    """SIGTERM between two reports; nothing but the signal saves, the interval is an hour."""
    whole, stopped, resumed = points(), points(), points(seed=5)
    list(run(whole))
    schedule = replace(SCHEDULE, checkpoint_minutes=60)
    with pytest.raises(devices.Stopped, match=r"told to end at step 11; the state is in .*run"):
        for report in run(stopped, schedule=schedule, checkpoint=tmp_path / "run"):
            if report.step == 10:
                os.kill(os.getpid(), signal.SIGTERM)
    assert [p.name for p in checkpoints.states(tmp_path / "run")] == newest_states(11)
    assert [r.step for r in run(resumed, schedule=schedule, checkpoint=tmp_path / "run")] == [
        5,
        10,
        15,
        20,
        25,
        30,
    ]
    assert torch.equal(weights(resumed), weights(whole))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # given back


def test_moments_come_back_laid_out_as_their_weights_are(tmp_path):
    """Channels last, as on a GPU and in bfloat16: a fused Adam refuses moments of other strides."""

    def fresh():
        network = torch.nn.Conv2d(8, 8, 3).to(memory_format=torch.channels_last)
        return network, EMAModel(network.parameters()), torch.optim.Adam(network.parameters())

    network, ema, optimiser = fresh()
    network(torch.randn(2, 8, 5, 5)).sum().backward()
    optimiser.step()
    checkpoints.save(tmp_path, {}, torch.zeros(1), 1, network, ema, optimiser)
    again, ema, restored = fresh()
    checkpoints.load(tmp_path, {}, again, ema, restored)
    for p, q in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)
        for name in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(restored.state[q][name], optimiser.state[p][name])
            assert restored.state[q][name].stride() == q.stride() == p.stride()
        assert restored.state[q]["step"] == 1


def test_the_last_two_states_are_kept(tmp_path):
    list(run(points(), checkpoint=tmp_path / "run"))
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == newest_states(25, 30)


def test_states_are_as_far_apart_as_asked(tmp_path):
    list(run(points(), schedule=replace(SCHEDULE, checkpoint_minutes=60), checkpoint=tmp_path / "run"))
    assert [p.name for p in (tmp_path / "run").iterdir()] == newest_states(30)  # the end alone


def test_a_state_of_another_configuration_is_refused(tmp_path):
    folder = tmp_path / "run"
    list(run(points(), checkpoint=folder))
    other = ({"method": "c_only"}, {"seed": 1}, {"alpha": 2.0}, {"identity": {"images": "other"}})
    for change in (*other, {"schedule": replace(SCHEDULE, precision="bf16")}):
        with pytest.raises(ValueError, match="belongs to another configuration"):
            next(run(points(), checkpoint=folder, **change))
    with pytest.raises(ValueError, match="belongs to another configuration"):
        next(run(seeded(point_denoiser, 2, 2.0, 8, seed=0), checkpoint=folder))
    same = replace(SCHEDULE, micro_batch=16, log_every=10, checkpoint_minutes=1)  # how, not what
    assert [r.step for r in run(points(), schedule=same, checkpoint=folder)] == [10, 20, 30]


def test_a_state_cut_short_gives_way_to_the_one_before(tmp_path):
    folder, whole, resumed = tmp_path / "run", points(), points(seed=5)
    list(run(whole, checkpoint=folder))
    older, newer = checkpoints.states(folder)
    newer.write_bytes(newer.read_bytes()[:-500])
    with pytest.warns(UserWarning, match="step-000000025.safetensors is taken, for step-000000030"):
        list(run(resumed, checkpoint=folder))
    assert torch.equal(weights(resumed), weights(whole))
    for state in checkpoints.states(folder):
        state.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"run: cannot be read .*delete it to start over"):
        next(run(points(), checkpoint=folder))


def test_another_number_of_processes_is_said(tmp_path, recwarn):
    folder = tmp_path / "run"
    list(itertools.islice(run(points(), checkpoint=folder), 2))
    state = checkpoints.states(folder)[-1]
    with safe_open(state, framework="pt") as file:
        known = file.metadata()
    save_file(load_file(state), state, known | {"processes": "2"})
    with pytest.warns(UserWarning, match="made by 2 processes, taken up by 1.*the same statistically only"):
        list(run(points(), checkpoint=folder))


def test_a_full_disk_is_named_and_the_states_before_stay(tmp_path, processes):
    """A limit on the size of a file, which the kernel enforces, stands for the full disk."""
    folder = tmp_path / "run"
    for _ in run(points(), schedule=LONG, checkpoint=folder):
        if len(checkpoints.states(folder)) == 2:
            break
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=fails, args=(sender, tmp_path, 2000))
    process.start()
    kind, message = receiver.recv()
    process.join()
    assert (
        kind == "OSError"
        and "cannot be written" in message
        and "MB free); the states before it stay" in message
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def fails(sender, folder, limit):
    try:
        train_into(folder, limit)
    except Exception as error:
        sender.send((type(error).__name__, str(error)))
