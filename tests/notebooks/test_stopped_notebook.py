"""Notebook 05 as an operating system stops it, at the default size of a step; the same command then goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tiwlib import runs
from tiwlib.runs.states import Checkpoint

NAME = "digits-lt-dsm_obs-seed0"
LONG = {"steps": 100_000, "checkpoint_minutes": 60}  # nothing but a signal saves a state


class Notebook:
    """A command that runs notebook 05 with its results and states below tmp_path."""

    def __init__(self, tmp_path, **parameters):
        self.states = Checkpoint(tmp_path / "checkpoints" / "05_train" / NAME)
        self.record = tmp_path / "results" / "05_train" / NAME
        self.environment = os.environ | {
            "TIWLIB_RESULTS": str(tmp_path / "results"),
            "TIWLIB_CHECKPOINTS": str(tmp_path / "checkpoints"),
            "OMP_NUM_THREADS": "1",
            "TQDM_DISABLE": "1",
        }
        notebook = runs.PROJECT / "notebooks" / "05_train.ipynb"
        self.command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "out.ipynb")]
        self.command.append("--no-progress-bar")
        parameters |= {"method": "dsm_obs", "root": str(tmp_path), "n_samples": 92, "sampling_steps": 3}
        for name, value in parameters.items():
            self.command += ["-p", name, str(value)]

    def finish(self):
        """Run it to its end; returns the hash of its denoiser."""
        subprocess.run(self.command, env=self.environment, check=True, capture_output=True)
        return json.loads((self.record / "provenance.json").read_text())["hashes"]["denoiser"]

    def start(self) -> list[psutil.Process]:
        """papermill and its kernel, once the training is under way."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = subprocess.Popen(self.command, env=self.environment, start_new_session=True, **quiet)
        while not (self.states.folder / ".lock").exists():
            assert started.poll() is None, "papermill ended before it trained"
            time.sleep(0.05)
        time.sleep(2)  # some steps
        return [psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)]


def ended(process) -> bool:
    """Gone, or a zombie: where a container has no init, nobody waits for an orphan."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_for(processes, seconds=60):
    """Until all have ended."""
    began = time.monotonic()
    while not all(map(ended, processes)):
        assert time.monotonic() - began < seconds, "they go on"
        time.sleep(0.05)


def to_papermill(papermill, kernel):
    papermill.send_signal(signal.SIGTERM)  # kill, timeout, docker stop


def to_kernel(papermill, kernel):
    kernel.send_signal(signal.SIGTERM)


def to_both(papermill, kernel):
    papermill.send_signal(signal.SIGTERM)  # Slurm
    kernel.send_signal(signal.SIGTERM)


def to_group(papermill, kernel):
    os.killpg(papermill.pid, signal.SIGTERM)  # the kernel has a group of its own


def interrupt(papermill, kernel):
    papermill.send_signal(signal.SIGINT)  # Ctrl-C


@pytest.mark.parametrize(
    "stop",
    [
        to_papermill,
        *(pytest.param(how, marks=pytest.mark.slow) for how in (to_kernel, to_both, to_group, interrupt)),
    ],
)
def test_a_stopped_notebook_leaves_its_state(tmp_path, stop):
    notebook = Notebook(tmp_path, **LONG)
    processes = notebook.start()
    stop(*processes)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert all(
        process.status() == psutil.STATUS_ZOMBIE for process in alive
    )  # nobody waits for an orphan here
    (state,) = notebook.states.states()
    assert 0 < int(state.stem.removeprefix("step-")) < 1000, "after the step that was under way"


@pytest.mark.slow
def test_a_stopped_notebook_goes_on(tmp_path):
    notebook = Notebook(tmp_path, steps=100, checkpoint_minutes=60)
    processes = notebook.start()
    to_both(*processes)
    wait_for(processes)
    assert notebook.states.states()
    stopped = notebook.finish()  # goes on from the state
    assert not notebook.states.folder.exists()  # a repetition trains again
    assert stopped == notebook.finish()
