"""The record: refused parameters, atomic writing, and nothing unfinished taken for a result."""

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from tiwlib import runs
from tiwlib.runs import cache, record


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def test_a_run_leaves_params_metrics_provenance_and_figures(results):
    run = runs.start("05_train", "a", {"seed": 3, "steps": 5})
    figure, _ = plt.subplots()
    run.figure(figure, "empty")
    plt.close(figure)
    run.hashes["split"] = "abc"
    folder = run.finish({"share": 0.5})
    assert folder == results / "05_train" / "a"
    assert json.loads((folder / "params.json").read_text()) == {"seed": 3, "steps": 5}
    assert json.loads((folder / "metrics.json").read_text()) == {"share": 0.5}
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["seed"] == 3 and provenance["hashes"] == {"split": "abc", "code": cache.code()}
    assert re.fullmatch("[0-9a-f]{40}", provenance["commit"] or "0" * 40)
    assert {"dirty", "device", "machine", "versions", "wall_seconds", "finished"} <= provenance.keys()
    assert 0 < provenance["cpu_seconds"] <= sum(os.times()[:4]) + 0.1
    assert (folder / "figures" / "empty.png").stat().st_size > 0
    assert [r["run"] for r in runs.finished("05_train")] == ["a"]


def test_a_figure_is_sharp_and_small(results):
    """200 dots an inch; 16 levels of each colour, of which black and white are two, within 8 of 255."""
    figure, axes = plt.subplots(figsize=(3, 2), layout="none")
    axes.imshow(np.linspace(0, 1, 256)[None], cmap="viridis", aspect="auto")
    axes.axvline(100, color="black", linewidth=5)
    run = runs.start("05_train", "a", {"seed": 3})
    shown = run.figure(figure, "ramp")
    figure.savefig(results / "exact.png", dpi=200, bbox_inches="tight")
    plt.close(figure)
    path = results / "05_train" / "a" / "figures" / "ramp.png"
    assert shown.data == path.read_bytes()
    with Image.open(path) as found, Image.open(results / "exact.png") as drawn:
        levels, exact = (np.asarray(image.convert("RGB")).astype(int) for image in (found, drawn))
    assert levels.shape == exact.shape and abs(levels - exact).max() <= 8 and not (levels % 17).any()
    assert (levels[exact.sum(-1) == 765] == 255).all() and (levels[exact.sum(-1) == 0] == 0).all()
    assert path.stat().st_size < (results / "exact.png").stat().st_size / 2


def test_a_run_that_did_not_finish_is_no_result():
    runs.start("05_train", "a", {"seed": 0})
    assert runs.finished("05_train") == []


def test_starting_again_drops_all_that_the_run_before_has_left(results):
    """Also of one that failed: notebook 06 reads weights.csv and ratio_error.csv beside the record."""
    folder = runs.start("05_train", "a", {"seed": 0}).finish({"x": 1.0})
    (folder / "denoiser").mkdir()
    for name in ("weights.csv", "denoiser/config.json"):
        (folder / name).write_text("1")
    runs.start("05_train", "a", {"seed": 0})
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "params.json"]
    assert runs.finished("05_train") == []


def test_a_folder_that_is_no_record_is_left_alone(results):
    (results / "05_train" / "notes").mkdir(parents=True)
    (results / "05_train" / "notes" / "mine.txt").write_text("1")
    runs.start("05_train", "notes", {})
    assert (results / "05_train" / "notes" / "mine.txt").exists()


def test_a_finished_run_with_other_parameters_is_not_replaced():
    runs.start("05_train", "a", {"seed": 0, "steps": 5}).finish({"x": 1.0})
    with pytest.raises(ValueError, match=r"run='a'.*other values of seed, steps.*-p run NAME"):
        runs.start("05_train", "a", {"seed": 1, "steps": 6})
    assert runs.finished("05_train")[0]["metrics"] == {"x": 1.0}


def test_two_commands_do_not_make_one_run(results):
    """A second open file stands for the second command: the kernel keeps the two apart as if in two processes."""
    runs.start("05_train", "one", {"seed": 0}).finish({"x": 1})
    with FileLock(results / "05_train" / "one" / ".lock"):
        with pytest.raises(
            RuntimeError, match=r"run='one': another process is at work in .*one; wait for it"
        ):
            runs.start("05_train", "one", {"seed": 0})
        assert (results / "05_train" / "one" / "metrics.json").exists()
        runs.start("05_train", "two", {"seed": 0})
    runs.start("05_train", "one", {"seed": 0})
    runs.start("05_train", "one", {"seed": 0}).finish({"x": 2})  # a cell that is run again


def test_a_run_that_named_itself_is_the_run_of_that_name():
    """Notebook 05 fills in an empty name; a sweep gives the same name from the start."""
    runs.start("05_train", "a", {"run": "", "seed": 0}).finish({"x": 1.0})
    runs.start("05_train", "a", {"run": "a", "seed": 0}).finish({"x": 1.0})
    assert runs.differences({"run": "", "seed": 0}, {"run": "a", "seed": 1, "steps": 5}) == ["seed", "steps"]


def test_metrics_are_written_whole_or_not_at_all(monkeypatch):
    run = runs.start("05_train", "a", {})
    with pytest.raises(ValueError):
        run.finish({"x": float("nan")})
    assert runs.finished("05_train") == []


def test_a_disk_that_fills_at_the_metrics_leaves_no_result(results, monkeypatch):
    """provenance.json passes; half of metrics.json reaches the disk."""
    run = runs.start("05_train", "a", {})
    write = Path.write_text

    def disk_full(self, text):
        if not self.name.startswith("metrics.json"):
            return write(self, text)
        write(self, text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(OSError, match=r"metrics.json: cannot be written .*No space left .* MB free"):
        run.finish({"x": 1.0})
    folder = results / "05_train" / "a"
    assert (folder / "provenance.json").exists() and not (folder / "metrics.json").exists()
    assert runs.finished("05_train") == []


def setting(folder, imbalance):
    path = folder / "mine.json"
    path.write_text(
        json.dumps({"source": "digits", "bias": "long_tail", "arguments": {"imbalance": imbalance}})
    )
    return {"seed": 0, "setting": str(path)}


def own_folder(folder, content):
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "a.png").write_bytes(content)
    return {"seed": 0, "biased": str(folder / "mine")}


@pytest.mark.parametrize(("made", "values"), [(setting, (1.0, 0.05)), (own_folder, (b"one", b"another"))])
def test_a_run_is_the_same_only_if_what_its_paths_hold_is(tmp_path, made, values):
    params = made(tmp_path, values[0])
    folder = runs.start("05_train", "a", params).finish({"x": 1.0})
    assert runs.changed(folder, params) == []
    runs.start("05_train", "a", params).finish({"x": 1.0})
    made(tmp_path, values[1])
    (name,) = params.keys() - {"seed"}
    assert runs.changed(folder, params) == [f"{name} (what it holds)"]
    with pytest.raises(ValueError, match=rf"run='a': .* other values of {name} \(what it holds\); give"):
        runs.start("05_train", "a", params)


def test_what_a_setting_names_counts_and_names_of_settings_do_not(tmp_path):
    own_folder(tmp_path, b"one")
    (tmp_path / "mine.json").write_text(json.dumps({"source": "mine", "bias": "natural"}))
    before = runs.holds({"setting": str(tmp_path / "mine.json")})
    assert before.keys() == {"setting", "setting's source"}
    own_folder(tmp_path, b"another")
    assert runs.holds({"setting": str(tmp_path / "mine.json")}) != before
    assert runs.holds({"setting": "digits-lt", "source": "", "biased_groups": "folders"}) == {}


@pytest.mark.parametrize("file", ["params", "metrics", "provenance"])
@pytest.mark.parametrize("content", ["", "[1]", '{"x": NaN}', "{" * 100_000, None])
def test_a_damaged_record_is_named_and_left_out(results, file, content):
    for name in ("a", "b"):
        runs.start("05_train", name, {"seed": 0}).finish({"x": 1.0})
    path = results / "05_train" / "a" / f"{file}.json"
    if content is None and file != "metrics":
        path.unlink()
    else:
        path.write_text(content or "")
    with pytest.warns(UserWarning, match=rf"a/{file}.json: .*this record is left out"):
        assert [r["run"] for r in runs.finished("05_train")] == ["b"]


def test_the_commit_may_be_given_where_there_is_no_git(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "PROJECT", tmp_path)
    monkeypatch.setenv("TIWLIB_COMMIT", "f" * 40)
    assert record.git_state() == {"commit": "f" * 40, "dirty": None}


def test_a_change_of_the_code_makes_a_record_dirty(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "PROJECT", tmp_path)
    (tmp_path / "tiwlib").mkdir()
    (tmp_path / "tiwlib" / "noise.py").write_text("one")
    (tmp_path / "README.md").write_text("one")
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    assert record.git_state()["dirty"] is False
    (tmp_path / "README.md").write_text("another")
    assert record.git_state()["dirty"] is False
    (tmp_path / "tiwlib" / "noise.py").write_text("another")
    assert record.git_state()["dirty"] is True


def test_a_results_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "file"))
    with pytest.raises(OSError, match="the results folder .*file/05_train/a cannot be written"):
        runs.start("05_train", "a", {})


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a b", "../../evil", 300 * "a"])
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(ValueError, match="run="):
        runs.start("05_train", name, {})


def defaults():
    return {name: ast.literal_eval(e["default"]) for name, e in runs.declared("05_train").items()}


def test_parameters_pass_and_an_int_is_a_float():
    namespace = {
        **defaults(),
        "lr": 1,
        "reference_fraction": 0.25,
        "np": json,
        "_": 3,
        "_i1": "x",
        "In": [],
        "Out": {},
    }
    params = runs.parameters("05_train", namespace)
    assert params["lr"] == 1.0 and isinstance(params["lr"], float)
    assert params["reference_fraction"] == 0.25 and params.keys() == defaults().keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"setps": 10}, r"setps=10: 05_train has no such parameter; did you mean steps\? Known: run, method"),
        ({"steps": "10"}, "steps='10': 05_train takes int here, not str"),
        ({"steps": 10.0}, "steps=10.0: 05_train takes int here, not float"),
        ({"flip": 1}, "flip=1: 05_train takes bool here, not int"),
        ({"method": 3}, "method=3: 05_train takes str here, not int"),
        ({"seed": True}, "seed=True: 05_train takes int here, not bool"),
        (
            {"reference_fraction": "half"},
            "reference_fraction='half': 05_train takes a number or None here, not str",
        ),
        ({"_seed": 3}, r"_seed=3: 05_train has no such parameter; did you mean seed\?"),
    ],
)
def test_a_wrong_name_or_type_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        runs.parameters("05_train", {**defaults(), **change})


@pytest.mark.parametrize(
    ("notebook", "change", "message"),
    [
        ("03_ratio_accuracy", {"lengths": []}, r"lengths=\[\]: must list at least one number"),
        ("03_ratio_accuracy", {"lengths": [5, 5.5]}, r"lengths=\[5, 5.5\]: 5.5 must be of the kind of 100"),
        ("03_ratio_accuracy", {"lengths": ["a"]}, "'a' must be of the kind of 100"),
        ("03_ratio_accuracy", {"lengths": [5, 5]}, r"lengths=\[5, 5\]: 5 is named twice"),
        ("02_what_each_objective_learns", {"alphas": [1.0, 2, 1]}, "1 is named twice"),
        ("06_results", {"methods": ["dsm_obs", "dsm_obs"]}, "'dsm_obs' is named twice"),
    ],
)
def test_a_list_that_a_notebook_could_not_run_over_is_refused(notebook, change, message):
    with pytest.raises(ValueError, match=message):
        runs.parameters(notebook, runs.defaults(notebook) | change)


def test_lists_that_mean_something_when_empty_stay():
    for notebook, name in (("06_results", "sizes"), ("07_baselines", "methods")):
        assert runs.parameters(notebook, runs.defaults(notebook) | {name: []})[name] == []
    fair = {"target": [0.5, 0.5]}
    assert runs.parameters("07_baselines", runs.defaults("07_baselines") | fair)["target"] == [0.5, 0.5]
    whole = {"digits_alphas": [2]}  # an int passes for a float
    notebook = "02_what_each_objective_learns"
    assert runs.parameters(notebook, runs.defaults(notebook) | whole)["digits_alphas"] == [2]
