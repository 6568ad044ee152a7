"""The reader's own two folders, without groups, through notebooks 04 to 06 by parameters alone."""

import json

import papermill
import pytest
from sample_images import fill_folder

from tiwlib import runs

pytestmark = pytest.mark.slow


def execute(name, folder, **parameters):
    notebook = runs.PROJECT / "notebooks" / f"{name}.ipynb"
    papermill.execute_notebook(str(notebook), str(folder / f"{name}.ipynb"), parameters, progress_bar=False)
    return json.loads((folder / "results" / name / parameters["run"] / "metrics.json").read_text())


def test_two_folders_go_through_all_notebooks(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    biased = fill_folder(tmp_path / "many", [f"{i}.png" for i in range(30)])
    reference = fill_folder(tmp_path / "few", [f"{i}.png" for i in range(10)], first_seed=50)
    pair = {
        "run": "mine",
        "biased": str(biased),
        "reference": str(reference),
        "root": str(tmp_path),
        "size": 16,
    }
    assert execute("04_biased_datasets", tmp_path, **pair)["reference"] == 10

    short = {"ratio_steps": 4, "seeds": 2, "lengths": [2, 4], "length_seeds": 2}
    ratio = execute("03_ratio_accuracy", tmp_path, **pair, **short)
    assert "error_share" not in ratio and len(ratio["calibration_error"]) == 2
    assert {row["measure"] for row in ratio["training_length"]} == {"heldout_loss"}

    tiny = {"ratio_steps": 4, "steps": 4, "batch_size": 8, "width": 8, "n_samples": 92, "sampling_steps": 3}
    trained = execute("05_train", tmp_path, **pair, **tiny)
    assert "group_shares" not in trained and trained["nearest"] > 0

    compared = execute("06_results", tmp_path, run="mine", setting="own-pair", methods=["tiw_dsm"])
    assert compared["table"]["tiw_dsm"].keys() == {"seeds", "nearest"}


def test_the_same_parameters_and_seed_give_the_same_metrics(tmp_path, monkeypatch):
    parameters = {"run": "twice", "ratio_steps": 5, "steps": 5, "n_samples": 100, "sampling_steps": 4}
    found = []
    for attempt in ("first", "second"):
        monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / attempt / "results"))
        monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / attempt / "checkpoints"))
        (tmp_path / attempt).mkdir()
        found.append(execute("05_train", tmp_path / attempt, **parameters))
    assert found[0] == found[1]
