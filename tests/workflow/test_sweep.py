"""Sweeps that really run: what is done and what is not, failures, interruptions, and a stand-in for Slurm."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import tiny_notebook
import torch
import yaml
from filelock import FileLock

from tiwlib import runs
from tiwlib.runs.cache import once
from workflow import gpus, sweep

pytest.importorskip("snakemake", reason="snakemake is not installed: pip install -e '.[sweep]'")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    tiny_notebook.write(tmp_path / "notebooks")
    for name in ("notebooks", "results", "checkpoints"):
        monkeypatch.setenv(f"TIWLIB_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)


def write(seeds=(0, 1), run="r{seed}", **params):
    entry = {"notebook": "tiny", "run": run, "params": params, "vary": {"seed": list(seeds)}}
    Path("sweep.yaml").write_text(yaml.safe_dump({"runs": [entry]}))


def command(*options):
    return [sys.executable, "-m", "workflow.sweep", "sweep.yaml", *options]


def call(*options):
    done = subprocess.run(command(*options), capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def written(seed):
    """When the record was written, None where there is none."""
    path = Path("results", "tiny", f"r{seed}", "metrics.json")
    return path.stat().st_mtime_ns if path.exists() else None


def test_a_failed_run_is_named_and_keeps_its_notebook_and_log_and_the_others_go_on():
    write(fails=0)
    code, said = call()
    assert code == 1
    assert re.search(r"tiny/r1: done in \d+ s, \d of 2 left", said)
    assert re.search(r"tiny/r0: failed, \d of 2 left", said) and "0 of 2 left" in said
    assert "FAILED tiny/r0: RuntimeError: seed 0 was told to fail" in said and "1 of 2 runs done" in said
    assert "told to fail" in Path("build/sweep/tiny/r0.log").read_text()
    assert "told to fail" in Path("build/sweep/tiny/r0.ipynb").read_text()
    assert written(1) and not written(0)


def test_what_stands_first_in_the_file_runs_first():
    """So that a sweep which is stopped leaves its first table whole; the names are in no order of their own."""
    seeds = (3, 9, 1, 7, 2)
    write(seeds=seeds)
    code, said = call("--jobs", "1")
    assert code == 0, said
    assert sorted(seeds, key=written) == list(seeds)


def test_nothing_starts_where_a_parameter_is_unknown():
    write(rat=1.0)
    code, said = call()
    assert code == 2 and "refused: sweep.yaml: rat=1.0: tiny has no such parameter" in said
    assert not Path("results").exists() and not Path("build").exists()


def test_a_run_of_several_gpus_is_no_run_of_a_sweep(monkeypatch):
    entry = {"notebook": "05_train", "run": "wide", "params": {"num_processes": 2}}
    Path("sweep.yaml").write_text(yaml.safe_dump({"runs": [entry]}))
    monkeypatch.setenv("TIWLIB_NOTEBOOKS", str(runs.PROJECT / "notebooks"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(ValueError, match="num_processes is above 1 in wide: a sweep gives each run one GPU"):
        sweep.run("sweep.yaml", 1, None, False, True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert sweep.run("sweep.yaml", 1, None, False, True) == 0, "processes on a CPU may share it"


def test_a_second_sweep_in_the_same_place_is_refused():
    write()
    sweep.LOCK.parent.mkdir(parents=True)
    held = gpus.try_lock(sweep.LOCK)
    with pytest.raises(ValueError, match="another sweep is at work"):
        sweep.run("sweep.yaml", 1, None, False, False)
    os.close(held)


def test_a_dry_run_moves_nothing(capfd):
    write()
    folder = Path("results/tiny/r0")
    folder.mkdir(parents=True)
    (folder / "params.json").write_text('{"seed": 9}')
    (folder / "metrics.json").write_text("{}")
    assert sweep.run("sweep.yaml", 1, None, False, True) == 0
    said = capfd.readouterr().out
    assert "other values of" in said and (folder / "metrics.json").exists()
    assert said.count("rule run_") == 2, "both would run"


def test_a_dry_run_counts_what_is_done(capfd):
    """What has its record with these parameters is not among what is to do."""
    write()
    (done, _) = sweep.plan.load("sweep.yaml").runs
    done.folder.mkdir(parents=True)
    (done.folder / "params.json").write_text(json.dumps(done.params))
    done.metrics.write_text("{}")
    assert sweep.run("sweep.yaml", 1, None, False, True) == 0
    said = capfd.readouterr().out
    assert "sweep.yaml: 2 runs, 1 done, 1 to do" in said and said.count("rule run_") == 1


@pytest.mark.parametrize("name", ["123", "1e3", "true", "a: b.yaml", "it's {x}.yaml"])
def test_a_sweeps_file_may_have_any_name(name, capfd):
    """Snakemake reads the value of --config as YAML: a name that is a number there must stay a name."""
    write(seeds=(0,))
    Path("sweep.yaml").rename(name)
    assert sweep.run(name, 1, None, False, True) == 0
    assert capfd.readouterr().out.count("rule run_") == 1


def test_a_results_folder_with_braces_is_refused(monkeypatch, tmp_path):
    write()
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "{x}"))
    with pytest.raises(ValueError, match=r"TIWLIB_RESULTS=.*\{x\}: must have no braces"):
        sweep.run("sweep.yaml", 1, None, False, True)


def test_a_notebook_whose_name_a_shell_would_take_apart_runs(tmp_path):
    name = "tiny; touch evil $(touch evil)"
    (tmp_path / "notebooks" / "tiny.ipynb").rename(tmp_path / "notebooks" / f"{name}.ipynb")
    entry = {"notebook": name, "run": "r"}
    Path("sweep.yaml").write_text(yaml.safe_dump({"runs": [entry]}))
    said = call()[1]
    assert (tmp_path / "build" / "sweep" / name / "r.ipynb").exists() and not Path("evil").exists(), said


@pytest.mark.slow
def test_a_changed_parameter_runs_again_what_has_it_and_the_old_record_is_kept():
    write()
    assert call()[0] == 0
    before = [written(seed) for seed in (0, 1)]
    code, said = call()
    assert code == 0 and "2 done, 0 to do" in said and [written(seed) for seed in (0, 1)] == before
    write(seeds=(0, 1, 2))
    assert "2 done, 1 to do" in call()[1]
    assert [written(seed) for seed in (0, 1)] == before and written(2)
    write(rate=0.5)
    code, said = call()
    assert (
        code == 0 and "tiny/r0: other values of rate; the old record goes to build/replaced/tiny/r0-" in said
    )
    (kept,) = Path("build/replaced/tiny").glob("r0-*/record")
    assert json.loads((kept / "params.json").read_text())["rate"] == 1e-3 and (kept / "metrics.json").exists()
    assert json.loads(Path("results/tiny/r0/params.json").read_text())["rate"] == 0.5
    third = written(0)
    assert call("--again")[0] == 0 and written(0) > third


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_sweep_goes_on(how):
    """Also after a kill that reaches everything at once, as when a machine goes down."""
    write(seeds=(0, 1, 2), work=4.0)
    process = subprocess.Popen(command("--jobs", "1"), stdout=subprocess.PIPE, text=True)
    lines = iter(process.stdout.readline, "")
    assert any("done in" in line for line in lines)
    time.sleep(2)
    if how == signal.SIGKILL:
        everything = [*psutil.Process(process.pid).children(recursive=True), process]
        for one in everything:
            one.kill()
    else:
        process.send_signal(how)
    process.wait(60)
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    done = [seed for seed in (0, 1, 2) if written(seed)]
    assert 1 <= len(done) < 3
    before = {seed: written(seed) for seed in done}
    code, said = call()
    assert code == 0 and f"{len(done)} done, {3 - len(done)} to do" in said
    assert {seed: written(seed) for seed in done} == before and all(written(seed) for seed in (0, 1, 2))


def test_a_state_of_other_parameters_is_set_aside_too(tmp_path, capsys):
    """A training that was interrupted left its state: other parameters must not meet it."""
    write()
    (planned, _) = sweep.plan.load("sweep.yaml").runs
    planned.folder.mkdir(parents=True)
    (planned.folder / "params.json").write_text(json.dumps({**planned.params, "rate": 2.0}))
    state = tmp_path / "checkpoints" / "tiny" / "r0"
    state.mkdir(parents=True)
    (state / "step").write_text("state")
    sweep.set_aside(planned, dry_run=False)
    assert not planned.folder.exists() and not state.exists()
    (kept,) = Path("build/replaced/tiny").iterdir()
    assert (kept / "state" / "step").read_text() == "state" and (kept / "record" / "params.json").exists()
    assert f"other values of rate; the old record goes to {kept}" in capsys.readouterr().out


@pytest.mark.parametrize("held", ["record", "state"])
def test_what_another_process_is_at_work_on_is_not_set_aside(tmp_path, held):
    """It would end into the record that takes this place: the parameters of one run, the metrics of another."""
    write()
    (planned, _) = sweep.plan.load("sweep.yaml").runs
    folders = {"record": planned.folder, "state": tmp_path / "checkpoints" / "tiny" / "r0"}
    for folder in folders.values():
        folder.mkdir(parents=True)
    (planned.folder / "params.json").write_text(json.dumps({**planned.params, "rate": 2.0}))
    with FileLock(folders[held] / ".lock"), pytest.raises(RuntimeError, match="run='r0': another process"):
        sweep.set_aside(planned, dry_run=False)
    assert all(folder.exists() for folder in folders.values())


def test_runs_that_start_together_fit_one_ratio(tmp_path):
    """Those that wait are told that they have not fitted it, and what the fit has cost."""
    fits, found = [], []

    def fit():
        fits.append(1)
        time.sleep(0.3)
        return {"weights": torch.ones(2)}, {"step": 3}

    def one():
        found.append(once("ratio", {"seed": 0}, fit, tmp_path))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fits) == 1 and sorted(cached.new for cached in found) == [False, False, True]
    assert all(0.3 <= cached.seconds < 3 for cached in found)


# ---------------------------------------------------------------- Slurm

needs_slurm_plugin = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="snakemake-executor-plugin-slurm is not installed: pip install -e '.[slurm]'",
)
PROFILE = runs.PROJECT / "workflow" / "slurm"


@needs_slurm_plugin
def test_the_slurm_profile_plans_a_gpu_for_each_run(capfd):
    write(seeds=(0, 1, 2))
    assert sweep.run("sweep.yaml", 8, str(PROFILE), False, True) == 0
    planned = [part for part in capfd.readouterr().out.split("\nrule ") if part.startswith("run_")]
    resources = "slurm_partition=gpu, gres=gpu:1, cpus_per_task=4, runtime=720"
    assert len(planned) == 3 and all(resources in part for part in planned)


@pytest.mark.slow
@needs_slurm_plugin
def test_a_sweep_by_way_of_a_stand_in_for_slurm(tmp_path, monkeypatch):
    """sbatch and its kin from tests/workflow/slurm run the jobs here: what Snakemake sends is a whole run."""
    stand_in = runs.PROJECT / "tests" / "workflow" / "slurm"
    monkeypatch.setenv("PATH", f"{stand_in}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
    profile = yaml.safe_load((PROFILE / "config.yaml").read_text())
    profile["slurm-init-seconds-before-status-checks"] = 3
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    write(fails=1)
    code, said = call("--profile", str(tmp_path / "profile"), "--jobs", "2")
    assert code == 1 and "tiny/r0: done in" in said and "FAILED tiny/r1: RuntimeError: seed 1" in said
    calls = [path.read_text().split("\n") for path in sorted((tmp_path / "slurm").glob("*.call"))]
    assert len(calls) == 2 and all("--gres=gpu:1" in c and "--cpus-per-task=4" in c for c in calls)
