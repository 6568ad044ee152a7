"""Slots on GPUs, held by locked files: with processes, and GPUs that need not be there."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tiwlib import runs
from workflow import gpus

SAY = "import os, time; a = time.time(); time.sleep({}); print(os.environ['CUDA_VISIBLE_DEVICES'], a, time.time())"


def start(folder, per_gpu, seconds, visible):
    command = [sys.executable, "-P", str(runs.PROJECT / "workflow" / "gpus.py"), str(per_gpu)]
    environment = {**os.environ, "TMPDIR": str(folder), "CUDA_VISIBLE_DEVICES": visible}
    return subprocess.Popen(
        [*command, sys.executable, "-c", SAY.format(seconds)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("visible", "per_gpu"), [("0,1", 1), ("MIG-a/b", 2)])
def test_no_slot_is_held_twice_and_all_are_used(tmp_path, visible, per_gpu):
    processes = [start(tmp_path, per_gpu, 0.3, visible) for _ in range(4)]
    said = [process.communicate(timeout=30)[0].split() for process in processes]
    assert {gpu for gpu, *_ in said} == set(visible.split(","))
    for gpu in visible.split(","):
        times = sorted((float(a), float(b)) for g, a, b in said if g == gpu)
        for i in range(len(times) - per_gpu):  # the one that is per_gpu later starts when this one has ended
            assert times[i + per_gpu][0] >= min(end for _, end in times[i : i + per_gpu]) - 0.01


def test_a_killed_run_gives_its_slot_back(tmp_path):
    first = start(tmp_path, 1, 60, "0")
    time.sleep(0.3)
    second = start(tmp_path, 1, 0, "0")
    time.sleep(0.3)
    assert second.poll() is None, "it waits"
    first.send_signal(signal.SIGKILL)
    assert second.communicate(timeout=10)[0].split()[0] == "0"


def test_which_gpus_may_be_used(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-5")
    assert gpus.visible() == ["2", "GPU-5"]
    for nothing in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", nothing)
        assert gpus.visible() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible() == [], "no nvidia-smi"
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 0\necho 1\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert gpus.visible() == ["0", "1"]


def test_without_a_gpu_the_command_just_runs(tmp_path):
    process = start(tmp_path, 1, 0, "")
    process.communicate(timeout=10)
    assert process.returncode == 0 and not list(tmp_path.glob("tiwlib-gpus*"))


@pytest.mark.parametrize("how", ["open to all", "a link", "a file"])
def test_a_folder_that_somebody_else_could_have_made_is_refused(how, tmp_path, monkeypatch):
    """The name of the locks' folder is known to all: who makes it first could hold every slot."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / f"tiwlib-gpus-{os.getuid()}-all"
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if how == "open to all":
        path.mkdir()
        path.chmod(0o777)
    elif how == "a link":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("")
    with pytest.raises((ValueError, FileExistsError), match=f"tiwlib-gpus-{os.getuid()}-all"):
        gpus.folder()


def test_the_folder_of_another_user_is_refused_and_the_own_one_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = gpus.folder()
    assert mine.stat().st_mode & 0o777 == 0o700 and gpus.folder() == mine
    me = os.getuid()
    mine.rename(tmp_path / f"tiwlib-gpus-{me + 1}-all")
    monkeypatch.setattr("os.getuid", lambda: me + 1)
    with pytest.raises(ValueError, match="must be your folder, which nobody else can write to"):
        gpus.folder()


def test_a_lock_is_no_link_to_somewhere_else(tmp_path):
    (tmp_path / "a.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="a.lock"):
        gpus.try_lock(tmp_path / "a.lock")
    assert not (tmp_path / "precious").exists()
