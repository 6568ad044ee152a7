"""Running a notebook at toy size, in a folder of its own."""

import json

import papermill
import pytest

from tiwlib import runs


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")  # one digits classifier for all


@pytest.fixture
def metrics_of(tmp_path, checkpoints, monkeypatch):
    """Run a notebook with these parameters; returns the metrics of its record."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(checkpoints))

    def run(name: str, parameters: dict) -> dict:
        notebook, parameters = runs.PROJECT / "notebooks" / f"{name}.ipynb", parameters | {"run": "tiny"}
        papermill.execute_notebook(str(notebook), str(tmp_path / "out.ipynb"), parameters, progress_bar=False)
        return json.loads((tmp_path / "results" / name / "tiny" / "metrics.json").read_text())

    return run
