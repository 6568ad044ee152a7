"""Two processes, gloo on the CPU: the gradient of one, samples of one, one writer."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from tiwlib import runs
from tiwlib.batches import draw, seed_step
from tiwlib.runs.config import ExperimentConfig, refuse_missing_devices
from tiwlib.runs.experiment import from_parameters
from tiwlib.runs.processes import launch, main, samples
from tiwlib.runs.states import Checkpoint
from tiwlib.training import TrainingConfig

TINY = {
    "ratio_steps": 4, "steps": 1, "batch_size": 16, "width": 8, "n_samples": 93, "sampling_steps": 3, "device": "cpu",
    "reference_fraction": 0.5,
}  # fmt: skip


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return runs.defaults("05_train") | TINY | {"root": str(tmp_path / "data")}


def test_two_processes_take_the_step_of_one_with_the_same_batch(params):
    """After one step Adam's first moment is a tenth of the gradient. One process takes both processes' draws."""
    params["num_processes"] = 2
    both = from_parameters(params)
    fitted = both.ratio()
    launch(params, both.folder)
    (state,) = Checkpoint(both.folder).states()
    moments = {n: v for n, v in load_file(state).items() if n.endswith("exp_avg")}

    denoiser, halves = both.denoiser(), []
    for process in (0, 1):
        seed_step(params["seed"], 0, process)
        halves.append(draw(both.observed(), 8, both.problem.noise_distribution, torch.device("cpu")))
    x0, sigma, noise = (torch.cat(parts) for parts in zip(*halves, strict=True))
    assert not torch.equal(halves[0][1], halves[1][1])  # each process draws its own
    both.loss(fitted)(denoiser, x0, sigma, noise).mean().backward()
    assert len(moments) == len(list(denoiser.parameters()))
    for i, p in enumerate(denoiser.parameters()):
        assert torch.allclose(moments[f"optimiser.{i}.exp_avg"], 0.1 * p.grad, rtol=1e-4, atol=1e-7)

    # the notebook resumes the finished state and finds the samples, and one process alone would have drawn the same
    resumed = both.denoiser()
    assert [r.step for r in both.train(resumed, fitted)] == [1]
    of_two = samples(both, resumed)
    (both.folder / "samples-93-3.npy").unlink()
    difference = np.abs(of_two.astype(int) - samples(both, resumed).astype(int))
    assert of_two.shape == (93, 1, 8, 8) and difference.max() <= 1  # batches of 46 and 47, or of 93: rounding
    assert {p.name for p in both.folder.iterdir()} == {".lock", "log.txt", "parameters.json", state.name}
    assert json.loads((both.folder / "parameters.json").read_text()) == params
    both.forget()
    assert not both.folder.exists()


def test_two_commands_do_not_train_one_run(params):
    experiment = from_parameters(params)
    experiment.folder.mkdir(parents=True)
    fitted = experiment.ratio()
    with (
        FileLock(experiment.folder / ".lock"),
        pytest.raises(RuntimeError, match="run='digits-lt-tiw_dsm-pi0.5-seed0': another process is at work"),
    ):
        next(experiment.train(experiment.denoiser(), fitted))
    assert [r.step for r in experiment.train(experiment.denoiser(), fitted)] == [1]


TOLD = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path

from two_d_training import CONFIG, points, run
from tiwlib import devices
from tiwlib.runs.states import Checkpoint

accelerator, calls = devices.accelerator("cpu"), []

def loss(denoiser, x0, sigma, noise):
    calls.append(None)
    if len(calls) == 7 and accelerator.process_index == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return (denoiser(x0 + sigma[:, None] * noise, sigma) - x0).square().mean(1)

config = replace(CONFIG, steps=100, batch_size=16, log_every=50, checkpoint_minutes=60)
try:
    list(run(points(), config, loss=loss, checkpoint=Checkpoint(Path(sys.argv[1])), accelerator=accelerator))
except devices.Stopped as stopped:
    Path(sys.argv[1], f"stopped-{accelerator.process_index}").write_text(str(stopped))
"""


def test_where_one_of_two_processes_is_told_to_end_both_save_after_the_next_step(tmp_path):
    """The signal comes in the seventh step; the next report, and the next state, would be far."""
    (tmp_path / "told.py").write_text(TOLD)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    path = os.pathsep.join([str(runs.PROJECT), str(runs.PROJECT / "tests" / "support")])
    done = subprocess.run(
        [*torchrun, tmp_path / "told.py", tmp_path / "run"],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = [(tmp_path / "run" / f"stopped-{process}").read_text() for process in (0, 1)]
    assert all(text.startswith("told to end at step 8;") for text in said)
    assert [path.name for path in Checkpoint(tmp_path / "run").states()] == ["step-000000008.safetensors"]


def test_who_launches_processes_and_is_told_to_end_hands_it_on(params):
    """torchrun runs in a session of its own; what it has started ends with it, and leaves a state."""
    params |= {"num_processes": 2, "steps": 100_000, "checkpoint_minutes": 60.0, "method": "dsm_obs"}
    folder = from_parameters(params).folder
    code = f"from tiwlib.runs.processes import *; launch({params!r}, Path({str(folder)!r}))"
    shown = {
        name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"
    }  # the bar tells of a step
    started = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=shown)
    log = folder / "log.txt"
    while not (log.exists() and "step/s" in log.read_text()):
        assert started.poll() is None, started.stderr.read()
        time.sleep(0.2)
    below = psutil.Process(started.pid).children(recursive=True)
    started.terminate()
    _, alive = psutil.wait_procs(below, timeout=120)
    alive = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    for process in (*alive, started):  # nothing is to outlive the test
        if alive:
            process.kill()
    assert not alive and "Stopped: told to end" in started.communicate()[1]
    assert len(Checkpoint(folder).states()) == 1


def test_a_process_that_fails_is_shown(params):
    params |= {"num_processes": 2, "setting": "nowhere.json"}
    with pytest.raises(RuntimeError, match="(?s)num_processes=2: a process failed.*nowhere.json"):
        launch(params, runs.checkpoints() / "05_train" / "run")


@pytest.mark.parametrize("name", ["../../evil", "/elsewhere/evil", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(params, tmp_path, name):
    """The file of parameters comes from whoever starts torchrun."""
    (tmp_path / "parameters.json").write_text(json.dumps(params | {"run": name}))
    with pytest.raises(ValueError, match=f"run='{name}': must be a folder's name"):
        main.__wrapped__(tmp_path / "parameters.json")  # without torchrun's report
    assert not (tmp_path / "checkpoints").exists()


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="num_processes=3: this machine has 2 CUDA devices"):
        refuse_missing_devices(3, "")
    refuse_missing_devices(3, "cpu")
    with pytest.raises(ValueError, match="num_processes=0: must be at least 1"):
        refuse_missing_devices(0, "")


def test_bad_parameters_are_refused_before_anything_is_fitted(params):
    for change in ({"training": TrainingConfig(steps=1, batch_size=15)}, {"n_samples": 1}):
        with pytest.raises(ValueError, match="must be a multiple of, and at least, num_processes=2"):
            ExperimentConfig(device="cpu", num_processes=2, **change)
    bad = {"network": "huge", "n_samples": 0, "precision": "fp8", "method": "gan", "width": 12, "alpha": -1.0}
    for name, value in bad.items():
        with pytest.raises(ValueError, match=f"{name}={value!r}"):
            from_parameters(params | {name: value})
