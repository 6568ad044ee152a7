"""The record: refused parameters, atomic writing, and nothing unfinished taken for a result."""

import ast
import json
import re

import matplotlib.pyplot as plt
import pytest
from filelock import FileLock

from tiwlib import runs


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def test_a_run_leaves_params_metrics_provenance_and_figures(results):
    run = runs.start("04_train", "a", {"seed": 3, "steps": 5})
    figure, _ = plt.subplots()
    run.figure(figure, "empty")
    plt.close(figure)
    run.hashes["split"] = "abc"
    folder = run.finish({"share": 0.5})
    assert folder == results / "04_train" / "a"
    assert json.loads((folder / "params.json").read_text()) == {"seed": 3, "steps": 5}
    assert json.loads((folder / "metrics.json").read_text()) == {"share": 0.5}
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["seed"] == 3 and provenance["hashes"] == {"split": "abc"}
    assert re.fullmatch("[0-9a-f]{40}", provenance["commit"] or "0" * 40)
    assert {"dirty", "device", "machine", "versions", "wall_seconds", "finished"} <= provenance.keys()
    assert (folder / "figures" / "empty.png").stat().st_size > 0
    assert [r["run"] for r in runs.finished("04_train")] == ["a"]


def test_a_run_that_did_not_finish_is_no_result():
    runs.start("04_train", "a", {"seed": 0})
    assert runs.finished("04_train") == []


def test_starting_again_drops_the_old_result_until_the_new_one_is_there():
    runs.start("04_train", "a", {"seed": 0}).finish({"x": 1.0})
    runs.start("04_train", "a", {"seed": 0})
    assert runs.finished("04_train") == []


def test_a_finished_run_with_other_parameters_is_not_replaced():
    runs.start("04_train", "a", {"seed": 0, "steps": 5}).finish({"x": 1.0})
    with pytest.raises(ValueError, match=r"run='a'.*other values of seed, steps.*-p run NAME"):
        runs.start("04_train", "a", {"seed": 1, "steps": 6})
    assert runs.finished("04_train")[0]["metrics"] == {"x": 1.0}


def test_two_commands_do_not_make_one_run(results):
    """A second open file stands for the second command: the kernel keeps the two apart as if in two processes."""
    runs.start("04_train", "one", {"seed": 0}).finish({"x": 1})
    with FileLock(results / "04_train" / "one" / ".lock"):
        with pytest.raises(
            RuntimeError, match=r"run='one': another process is at work in .*one; wait for it"
        ):
            runs.start("04_train", "one", {"seed": 0})
        assert (results / "04_train" / "one" / "metrics.json").exists()
        runs.start("04_train", "two", {"seed": 0})
    runs.start("04_train", "one", {"seed": 0})
    runs.start("04_train", "one", {"seed": 0}).finish({"x": 2})  # a cell that is run again


def test_a_run_that_named_itself_is_the_run_of_that_name():
    """Notebook 04 fills in an empty name; a sweep gives the same name from the start."""
    runs.start("04_train", "a", {"run": "", "seed": 0}).finish({"x": 1.0})
    runs.start("04_train", "a", {"run": "a", "seed": 0}).finish({"x": 1.0})
    assert runs.differences({"run": "", "seed": 0}, {"run": "a", "seed": 1, "steps": 5}) == ["seed", "steps"]


def test_metrics_are_written_whole_or_not_at_all(monkeypatch):
    run = runs.start("04_train", "a", {})
    with pytest.raises(ValueError):
        run.finish({"x": float("nan")})
    assert runs.finished("04_train") == []
    original = runs.Path.write_text

    def disk_full(self, text):
        original(self, text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs.Path, "write_text", disk_full)
    with pytest.raises(OSError, match="No space left"):
        run.finish({"x": 1.0})
    assert runs.finished("04_train") == []


def test_a_results_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "file"))
    with pytest.raises(OSError, match="the results folder .*file/04_train/a cannot be written"):
        runs.start("04_train", "a", {})


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a b"])
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(ValueError, match="run="):
        runs.start("04_train", name, {})


def defaults():
    return {name: ast.literal_eval(e["default"]) for name, e in runs.declared("04_train").items()}


def test_parameters_pass_and_an_int_is_a_float():
    namespace = {**defaults(), "lr": 1, "reference_fraction": 0.25, "np": json, "_": 3, "In": [], "Out": {}}
    params = runs.parameters("04_train", namespace)
    assert params["lr"] == 1.0 and isinstance(params["lr"], float)
    assert params["reference_fraction"] == 0.25 and params.keys() == defaults().keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"setps": 10}, r"setps=10: 04_train has no such parameter; did you mean steps\? Known: run, method"),
        ({"steps": "10"}, "steps='10': 04_train takes int here, not str"),
        ({"steps": 10.0}, "steps=10.0: 04_train takes int here, not float"),
        ({"flip": 1}, "flip=1: 04_train takes bool here, not int"),
        ({"method": 3}, "method=3: 04_train takes str here, not int"),
        ({"seed": True}, "seed=True: 04_train takes int here, not bool"),
        ({"reference_fraction": "half"}, "reference_fraction='half'"),
    ],
)
def test_a_wrong_name_or_type_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        runs.parameters("04_train", {**defaults(), **change})
