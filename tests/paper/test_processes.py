"""Two processes, gloo on the CPU: the gradient of one, samples of one, one writer."""

import ast
import json

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from tiwlib import objectives
from tiwlib.batches import draw, seed_step
from tiwlib.runs import checkpoints, declared
from tiwlib.runs.experiment import Experiment, launch, refuse_missing_devices

TINY = {
    "ratio_steps": 4, "steps": 1, "batch_size": 16, "width": 8, "n_samples": 7, "sampling_steps": 3, "device": "cpu",
    "reference_fraction": 0.5,
}  # fmt: skip


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    defaults = {name: ast.literal_eval(entry["default"]) for name, entry in declared("04_train").items()}
    return defaults | TINY | {"root": str(tmp_path / "data")}


def test_two_processes_take_the_step_of_one_with_the_same_batch(params):
    """After one step Adam's first moment is a tenth of the gradient. One process takes both processes' draws."""
    params["num_processes"] = 2
    both = Experiment(params)
    fitted = both.fit_ratio()
    launch(params, both.checkpoint)
    (state,) = checkpoints.states(both.checkpoint)
    moments = {n: v for n, v in load_file(state).items() if n.endswith("exp_avg")}

    denoiser, halves = both.denoiser(), []
    for process in (0, 1):
        seed_step(params["seed"], 0, process)
        halves.append(draw(both.observed, 8, both.noise_distribution, torch.device("cpu")))
    x0, sigma, noise = (torch.cat(parts) for parts in zip(*halves, strict=True))
    assert not torch.equal(halves[0][1], halves[1][1])  # each process draws its own
    objectives.method("tiw_dsm").loss(denoiser, x0, sigma, noise, fitted, 0.5).mean().backward()
    assert len(moments) == len(list(denoiser.parameters()))
    for i, p in enumerate(denoiser.parameters()):
        assert torch.allclose(moments[f"optimiser.{i}.exp_avg"], 0.1 * p.grad, rtol=1e-4, atol=1e-7)

    # the notebook takes up the finished state and the samples, and one process alone would have drawn the same
    taken = both.denoiser()
    assert [r.step for r in both.train(taken, fitted)] == [1]
    drawn = both.sample(taken)
    (both.checkpoint / "samples-7-3.npy").unlink()
    difference = np.abs(drawn.astype(int) - both.sample(taken).astype(int))
    assert drawn.shape == (7, 1, 8, 8) and difference.max() <= 1  # a batch of 3 and 4, or of 7: rounding
    kept = {".lock", "log.txt", "parameters.json", state.name}
    assert {p.name for p in both.checkpoint.iterdir()} == kept
    assert json.loads((both.checkpoint / "parameters.json").read_text()) == params
    both.forget()
    assert not both.checkpoint.exists()


def test_two_commands_do_not_train_one_run(params):
    experiment = Experiment(params)
    experiment.checkpoint.mkdir(parents=True)
    with (
        FileLock(experiment.checkpoint / ".lock"),
        pytest.raises(RuntimeError, match="run='digits-lt-tiw_dsm-pi0.5-seed0': another process is at work"),
    ):
        next(experiment.train(experiment.denoiser(), None))
    assert [r.step for r in experiment.train(experiment.denoiser(), experiment.fit_ratio())] == [1]


def test_a_process_that_fails_is_shown(params):
    params |= {"num_processes": 2, "ratio_features": "nowhere.pth"}
    with pytest.raises(
        RuntimeError,
        match="(?s)num_processes=2: a process failed.*ratio_features=.*nowhere.pth.: no such file",
    ):
        launch(params, Experiment(params).checkpoint)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="num_processes=3: this machine has 2 CUDA devices"):
        refuse_missing_devices(3, "")
    refuse_missing_devices(3, "cpu")
    with pytest.raises(ValueError, match="num_processes=0: must be at least 1"):
        refuse_missing_devices(0, "")


def test_bad_parameters_are_refused_before_anything_is_fitted(params):
    for change in ({"batch_size": 15}, {"n_samples": 1}):
        with pytest.raises(ValueError, match="must be a multiple of, and at least, num_processes=2"):
            Experiment(params | {"num_processes": 2} | change)
    for name, value in {"network": "huge", "n_samples": 0, "precision": "fp8", "method": "gan"}.items():
        with pytest.raises(ValueError, match=f"{name}={value!r}"):
            Experiment(params | {name: value})
