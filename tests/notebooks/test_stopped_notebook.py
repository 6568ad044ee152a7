"""Notebook 04 as Slurm stops it: SIGTERM to papermill and its kernel; the same command then goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tiwlib import runs
from tiwlib.runs import checkpoints

pytestmark = pytest.mark.slow
TINY = {"method": "dsm_obs", "steps": 400, "batch_size": 8, "n_samples": 92, "sampling_steps": 3, "width": 8}


def test_a_stopped_notebook_goes_on(tmp_path):
    environment = os.environ | {
        "TIWLIB_RESULTS": str(tmp_path / "results"), "TIWLIB_CHECKPOINTS": str(tmp_path / "checkpoints"),
        "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1",
    }  # fmt: skip
    parameters = {**TINY, "root": str(tmp_path), "checkpoint_minutes": 0.001}
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(runs.PROJECT / "notebooks" / "04_train.ipynb"),
        str(tmp_path / "out.ipynb"),
    ]
    command += [
        "--no-progress-bar",
        *(x for name, value in parameters.items() for x in ("-p", name, str(value))),
    ]
    folder = tmp_path / "checkpoints" / "04_train" / "digits-lt-dsm_obs-seed0"

    started = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not checkpoints.states(folder):
        assert started.poll() is None, "papermill ended before it trained"
        time.sleep(0.01)
    everyone = [psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)]
    for process in everyone:
        process.send_signal(signal.SIGTERM)
    psutil.wait_procs(everyone, timeout=20)
    stopped_at = int(checkpoints.states(folder)[-1].stem.removeprefix("step-"))
    assert 0 < stopped_at < 400

    found = {}
    for name in ("stopped", "whole"):  # first goes on from the state, then from nothing
        subprocess.run(command, env=environment, check=True, capture_output=True)
        record = tmp_path / "results" / "04_train" / "digits-lt-dsm_obs-seed0"
        found[name] = json.loads((record / "provenance.json").read_text())["hashes"]["denoiser"]
        assert not folder.exists()  # a repetition trains again
    assert found["stopped"] == found["whole"]
