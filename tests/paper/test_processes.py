"""Two processes, gloo on the CPU: the gradient of one, samples of one, one writer."""

import json

import numpy as np
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
