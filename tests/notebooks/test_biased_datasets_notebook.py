"""Notebook 04 by parameters alone, on data of the reader's own."""

import json

import papermill
import pytest
from sample_images import fill_folder

from tiwlib import runs

pytestmark = pytest.mark.slow


def execute(tmp_path, monkeypatch, **parameters):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    notebook = runs.PROJECT / "notebooks" / "04_biased_datasets.ipynb"
    parameters |= {"run": "test", "root": str(tmp_path)}
    papermill.execute_notebook(str(notebook), str(tmp_path / "out.ipynb"), parameters, progress_bar=False)
    folder = tmp_path / "results" / "04_biased_datasets" / "test"
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    return json.loads((folder / "metrics.json").read_text()), figures


def test_a_pair_without_groups(tmp_path, monkeypatch):
    biased = fill_folder(tmp_path / "many", [f"{i}.png" for i in range(30)])
    reference = fill_folder(tmp_path / "few", [f"{i}.png" for i in range(5)], first_seed=50)
    metrics, figures = execute(tmp_path, monkeypatch, biased=str(biased), reference=str(reference), size=16)
    assert (metrics["biased"], metrics["reference"], metrics["data"]) == (30, 5, "many + few")
    assert "total_variation" not in metrics and figures == {"images"}


def test_a_folder_with_many_groups(tmp_path, monkeypatch):
    folder = fill_folder(tmp_path / "many", [f"{i % 30:02d}/{i}.png" for i in range(300)])
    setting = {"source": str(folder), "bias": "long_tail", "arguments": {"imbalance": 0.2, "total": 100}}
    (tmp_path / "mine.json").write_text(json.dumps(setting | {"reference_share": 0.3}))
    metrics, figures = execute(tmp_path, monkeypatch, setting=str(tmp_path / "mine.json"))
    assert metrics["nested"] == {
        "percent_50": 50
    }  # the smaller ones have fewer than one image for each group
    assert sum(metrics["counts"]["reference"]) == 30
    assert figures == {"images", "group_shares", "nested_references"}


def test_a_parameter_that_does_not_exist(tmp_path, monkeypatch):
    with pytest.raises(papermill.PapermillExecutionError, match="no such parameter"):
        execute(tmp_path, monkeypatch, settings="digits-lt")
