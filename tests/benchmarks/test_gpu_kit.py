"""The kit for a GPU node: what is packed comes out again, stages end in time, go on and hand over what they made."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile

import in_turn
import measure
import nbformat
import pack
import pytest
import run
import speed
import take
import tiny_notebook
import yaml

from tiwlib import runs

SOURCE = runs.PROJECT


# ------------------------------------------------------------- packing
@pytest.fixture
def checkout(tmp_path):
    """A small git checkout, and the clone-wide list of ignored files that git keeps for it."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "file.txt").write_text("content")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "m"]):
        user = ["-c", "user.name=n", "-c", "user.email=e"]
        subprocess.run(["git", "-C", str(root), *user, *command], check=True, capture_output=True)
    return root


@pytest.fixture
def images(tmp_path):
    """A zip as the packing wants it, and what of it must arrive."""
    contents = {f"train/cat/{i}.jpg": bytes([i]) * 999 for i in range(20)}
    path = tmp_path / "cifar10-few.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**contents, "test/cat/0.jpg": b"x"}.items():
            archive.writestr(name, content)
    return path, contents


def test_what_is_packed_comes_out_on_the_node(checkout, images, tmp_path, monkeypatch, capsys):
    path, contents = images
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "labels").write_bytes(bytes(1000))
    pack.main([str(path), str(raw.parent), "--no-wheels"], checkout)
    assert "MiB + .gpu" in capsys.readouterr().out
    status = subprocess.run(["git", "-C", checkout, "status", "--porcelain"], capture_output=True, text=True)
    assert status.stdout == "", ".gpu/ is ignored"
    stamps = {p: p.stat().st_mtime_ns for p in (checkout / ".gpu").glob("*.xz")}
    pack.main([str(path), str(raw.parent), "--no-wheels"], checkout)
    assert stamps == {p: p.stat().st_mtime_ns for p in stamps} and len(stamps) == 2, "packed once"

    monkeypatch.setattr(run, "PACKED", checkout / ".gpu")
    for _ in range(2):
        run.unpack(tmp_path, tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data" / path.name) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents
    assert (tmp_path / "data" / "MNIST" / "raw" / "labels").read_bytes() == bytes(1000)


def test_where_there_is_no_git_the_commit_is_the_packed_one(checkout, monkeypatch):
    pack.main(["--no-wheels"], checkout)
    head = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True)
    monkeypatch.setattr(run, "PACKED", checkout / ".gpu")
    monkeypatch.setenv("PATH", "")
    assert run.commit() == head.stdout.strip()


def test_too_much_is_said_where_a_limit_is_given(checkout):
    with pytest.raises(SystemExit, match="more than 1e-06 MiB"):
        pack.main(["--no-wheels", "--at-most", "1e-6"], checkout)


def test_wheels_are_those_of_the_constraints():
    constraints = (SOURCE / "constraints.txt").read_text()
    lines = (SOURCE / "gpu" / "lacking.txt").read_text().splitlines()
    pinned = pack.pins([line for line in lines if not line.startswith("#")], constraints)
    assert len(pinned) > 30 and set(pinned) <= set(constraints.split())
    assert pack.pins(["Jupyter-Client"], "jupyter_client==8.0\n") == ["jupyter_client==8.0"]
    with pytest.raises(ValueError, match="nothing, more: not in constraints.txt"):
        pack.pins(["nothing", "torch", "more"], "torch==2.13.0\n")


def test_wheels_are_installed_once_and_without_internet(tmp_path, monkeypatch):
    """A wheel of one module, made here."""
    wheels = tmp_path / "packed" / "wheels"
    wheels.mkdir(parents=True)
    info = "lacking-1.0.dist-info"
    with zipfile.ZipFile(wheels / "lacking-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("lacking.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: lacking\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    (wheels / "stamp").write_text("one")
    monkeypatch.setattr(run, "PACKED", tmp_path / "packed")
    run.install(tmp_path)
    assert (tmp_path / "site" / "lacking.py").read_text() == "answer = 42\n"
    monkeypatch.setattr(run.subprocess, "run", None)  # a second call installs nothing
    run.install(tmp_path)


def test_what_another_node_has_compiled_is_used(tmp_path, monkeypatch):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        entry = tarfile.TarInfo("compiled/graph")
        entry.size = 1000
        archive.addfile(entry, io.BytesIO(os.urandom(1000)))
    packed = tmp_path / "packed"
    packed.mkdir()
    for i, start in enumerate(range(0, len(content.getvalue()), 400)):
        (packed / f"compiled.tar.gz.{i:02d}").write_bytes(content.getvalue()[start : start + 400])
    monkeypatch.setattr(run, "PACKED", packed)
    run.unpack(tmp_path, tmp_path / "data")
    assert (tmp_path / "compiled" / "graph").stat().st_size == 1000


# ------------------------------------------------------------- stages
def stage(folder, limit=60.0, name="check"):
    (folder / "out").mkdir(exist_ok=True)
    return run.Stage(name, folder, folder / "out", limit)


def test_a_stage_ends_in_time_and_keeps_what_was_printed(tmp_path):
    """A command that starts another one and waits: both are gone afterwards, and no further one starts."""
    child = "import time; print('child', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    short = stage(tmp_path, limit=2)
    assert short.python("-c", parent) == 124
    assert short.seconds < 20 and run.descendants(os.getpid()) == []
    assert short.python("-c", "1") == 124
    log = (tmp_path / "out" / "check.log").read_text()
    assert "child\n" in log and "= status 124" in log


SAVES = """
import pathlib, signal, time
def save(*_):
    time.sleep(2)  # a large state
    pathlib.Path(saved).write_text("state")
    raise RuntimeError("told to end")
signal.signal(signal.SIGTERM, save)
print("ready")
time.sleep(60)
"""


@pytest.mark.slow
def test_a_notebook_has_the_time_to_save_its_state(tmp_path):
    """The kernel alone is told to end: without papermill it would be killed within a second."""
    cell = nbformat.v4.new_code_cell(f"saved = {str(tmp_path / 'saved')!r}" + SAVES)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "saves.ipynb")
    papermill = ("-m", "papermill", "-k", "python3", "--log-output", "--no-progress-bar")
    assert stage(tmp_path, limit=15).python(*papermill, tmp_path / "saves.ipynb", tmp_path / "o.ipynb") == 124
    assert (tmp_path / "saved").read_text() == "state"
    assert "RuntimeError: told to end" in (tmp_path / "out" / "check.log").read_text()


def test_a_stage_has_the_status_of_its_command(tmp_path):
    assert stage(tmp_path).python("-c", "raise SystemExit(3)") == 3
    assert stage(tmp_path).python("-c", "1") == 0


def test_the_whole_plan_goes_on_where_it_was_and_again_with_other_code(tmp_path, monkeypatch, capsys):
    calls, failing = [], {"two"}

    def call(command, env):
        calls.append((command[2], env["LIMIT"]))
        return subprocess.CompletedProcess(command, command[2] in failing)

    monkeypatch.delenv("LIMIT", raising=False)
    monkeypatch.setattr(run.subprocess, "run", call)
    monkeypatch.setattr(run, "commit", lambda: "a")
    plan = ((10, "one"), (20, "two"), (30, "three"))
    assert run.everything(tmp_path, plan) == 1
    assert calls == [("one", "10"), ("two", "20"), ("three", "30")], "a failure does not stop the rest"
    assert "to do again: two" in capsys.readouterr().out
    calls.clear(), failing.clear()
    assert run.everything(tmp_path, plan) == 0 and calls == [("two", "20")]
    calls.clear()
    monkeypatch.setattr(run, "commit", lambda: "b")
    assert run.everything(tmp_path, plan) == 0 and len(calls) == 3


def test_the_plan_has_known_stages_of_less_than_ten_minutes():
    assert {call[0] for _, *call in run.PLAN} <= run.STAGES.keys()
    assert all(limit < 600 - 40 for limit, *_ in run.PLAN), "with the time to end a command"
    assert [call[0] for _, *call in run.PLAN][:2] == ["check", "tests"]


def test_an_unknown_stage_shows_what_there_is(capsys):
    assert run.main(["sped"]) == 2
    shown = capsys.readouterr().err
    assert all(name in shown for name in (*run.STAGES, "all", "lacks"))


def test_speed_goes_on_with_what_this_commit_has_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "commit", lambda: "abc-dirty")
    assert run.unmeasured(tmp_path)[0] == ("paper", "bf16")
    rows = [
        {"network": "paper", "precision": "bf16", "commit": "abc"},
        {"network": "paper", "precision": "fp32", "commit": "old"},
        {"network": "mnist", "precision": "bf16", "commit": None},
    ]
    (tmp_path / "m-speed.json").write_text(json.dumps({"rows": rows}))
    left = run.unmeasured(tmp_path)
    assert ("paper", "bf16") not in left and left[:2] == [("paper", "fp32"), ("mnist", "bf16")]


# ------------------------------------------------------------- runs, and taking home
@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep of a notebook of a few lines."""
    tiny_notebook.write(tmp_path / "notebooks")
    for name in ("notebooks", "results", "checkpoints"):
        monkeypatch.setenv(f"TIWLIB_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    entry = {"notebook": "tiny", "run": "r{seed}", "vary": {"seed": [0, 1]}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"runs": [entry]}))
    return tmp_path / "sweep.yaml"


def test_the_chosen_runs_are_made_handed_over_and_taken_home(sweep, tmp_path, monkeypatch, capfd):
    assert run.runs(stage(tmp_path, name="runs"), False, str(sweep), "seed=1", "-p", "rate", "0.5") == 0
    record = tmp_path / "results" / "tiny" / "r1-rate0.5"
    assert json.loads((record / "params.json").read_text())["rate"] == 0.5
    (record / "samples.npy").write_text("large")
    unfinished = record.with_name("r7")
    unfinished.mkdir()
    (unfinished / "params.json").write_text("{}")
    capfd.readouterr()
    monkeypatch.setattr(in_turn, "done", lambda planned: planned.done())  # the tiny notebook names no commit
    options = [str(sweep), "seed=1", "-p", "rate", "0.5", "--executed", str(tmp_path)]
    assert in_turn.main(options) == 0 and "tiny/r1-rate0.5: done before" in capfd.readouterr().out

    with tarfile.open(tmp_path / "out" / "results.tar.gz", "w:gz") as archive:
        archive.add(record, "results/tiny/r1-rate0.5", filter=run._of_a_record)
    home = tmp_path / "home"
    monkeypatch.setenv("TIWLIB_RESULTS", str(home / "results"))
    row = {"network": "paper", "batch": 256, "device": "cuda", "precision": "bf16", "compiled": True}
    table = {"machine": "m", "chip": "c", "thresholds": {}}
    rows = [row | {"method": method} for method in ("dsm", "tiw_dsm")]
    speed.add(home / "tables" / "m-speed.json", table | {"rows": rows[:1]})
    (tmp_path / "out" / "m-speed.json").write_text(json.dumps(table | {"rows": rows[1:]}))
    (tmp_path / "out" / "compiled.tar.gz.00").write_text("part")
    taken = take.take(tmp_path / "out", home / "tables", home / ".gpu")
    assert {path.name for path in (home / "results" / "tiny" / "r1-rate0.5").iterdir()} == {
        "params.json", "metrics.json", "provenance.json",
    }  # fmt: skip
    assert json.loads((home / "tables" / "m-speed.json").read_text())["rows"] == rows
    assert (home / ".gpu" / "compiled.tar.gz.00").read_text() == "part" and len(taken) == 5


def test_only_finished_runs_are_handed_over(tmp_path, monkeypatch):
    results = tmp_path / "results" / "05_train"
    for name, files in {"done": ("metrics.json", "samples.npy", "a.pdf"), "begun": ("params.json",)}.items():
        (results / name / "denoiser").mkdir(parents=True)
        for file in files:
            (results / name / file).write_text("{}")
    made = stage(tmp_path, name="runs")
    monkeypatch.setattr(made, "run", lambda *_: 124)
    assert run.runs(made, False, "sweep.yaml") == 124
    with tarfile.open(tmp_path / "out" / "results.tar.gz") as archive:
        names = [entry.name for entry in archive.getmembers() if entry.isfile()]
    assert names == ["results/05_train/done/metrics.json"]


def test_a_run_of_another_commit_is_made_again(sweep, tmp_path, monkeypatch):
    (planned, _) = in_turn.plan.load(sweep).runs
    planned.folder.mkdir(parents=True)
    for name, content in {"params": planned.params, "metrics": {}, "provenance": {"commit": "a"}}.items():
        (planned.folder / f"{name}.json").write_text(json.dumps(content))
    for commit, done in (("a", True), ("b", False)):
        monkeypatch.setattr(in_turn, "git_state", lambda commit=commit: {"commit": commit})
        assert in_turn.done(planned) is done


def test_conditions_choose_runs_and_an_unmet_one_is_refused(sweep):
    planned = in_turn.plan.load(sweep).runs
    assert [run.name for run in in_turn.chosen(planned, ["seed=1"])] == ["r1"]
    assert len(in_turn.chosen(planned, [])) == 2
    with pytest.raises(ValueError, match="seed=5: no such run; seed is one of 0, 1"):
        in_turn.chosen(planned, ["seed=5"])


def test_packed_images_are_the_source_of_the_settings_they_are_for(tmp_path):
    (planned, *_) = in_turn.chosen(
        in_turn.plan.load(SOURCE / "workflow" / "cifar10_short.yaml").runs, ["method=tiw_dsm"]
    )
    zips = [tmp_path / "cifar10-few.zip", tmp_path / "mnist.zip"]
    assert in_turn.changed(planned, {}, zips).given["source"] == str(zips[0])
    assert in_turn.changed(planned, {}, zips).name == planned.name
    longer = in_turn.changed(planned, {"steps": 12000}, zips)
    assert longer.params["steps"] == 12000 and longer.name == f"{planned.name}-steps12000"
    assert "source" not in in_turn.changed(planned, {"setting": "digits-lt"}, zips).given


# ------------------------------------------------------------- looking at the machine
@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("triton_red_fused_native_group_norm_3", "compiled: reductions (norms)"),
        ("sm90_xmma_fprop_implicit_gemm_bf16", "convolutions and products"),
        ("pytorch_flash::flash_fwd_kernel", "attention"),
        ("void cudnn::ops::nchwToNhwcKernel", "layouts"),
        ("multi_tensor_apply_kernel", "optimiser and average"),
        ("Memcpy HtoD", "copies"),
        ("something", "other"),
    ],
)
def test_kernels_are_sorted_by_their_name(kernel, kind):
    assert measure.kind(kernel) == kind


@pytest.mark.slow
def test_every_stage_of_the_plan_runs_with_everything_tiny(tmp_path):
    """The whole kit on a CPU, as on a node: bash gpu/run.sh all."""
    environment = {**os.environ, "SMALL": "1", "WORK": str(tmp_path / "work"), "OUT": str(tmp_path / "out")}
    environment |= {"LIMIT": "540", "PYTHON": sys.executable}
    command = ["bash", "gpu/run.sh", "all"]
    done = subprocess.run(command, cwd=SOURCE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    handed_over = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"results.tar.gz", "profile.txt", "check.log", "compile-check.log"} <= handed_over
    with tarfile.open(tmp_path / "out" / "results.tar.gz") as archive:
        records = [name for name in archive.getnames() if name.endswith("metrics.json")]
    assert len(records) == 4, "one of each method"
    again = subprocess.run(command, cwd=SOURCE, env=environment, capture_output=True, text=True)
    assert again.returncode == 0 and again.stdout.count("done before") == len(run.PLAN)
