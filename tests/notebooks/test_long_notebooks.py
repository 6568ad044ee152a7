"""Notebooks 02 and 07 take minutes: here they run through at toy sizes.

`python tests/support/run_nbval.py --all` compares them with what is stored.
"""

import json

import papermill
import pytest

from tiwlib import runs

pytestmark = pytest.mark.slow
TINY = {
    "02_what_each_objective_learns": {"seeds": 2, "steps": 3, "drawn_images": 60, "alphas": [0.5, 1.0]},
    "07_baselines": {
        "steps": 20, "tune_steps": 10, "seeds": 2, "n_samples": 200, "ratio_steps": 10,
        "adp_grid": {"hidden": [0], "temperature": [2.0], "gamma": [60.0]}, "invdiff_shares": [0.1],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")  # one digits classifier for all


@pytest.mark.parametrize("name", TINY)
def test_it_runs_through(name, tmp_path, checkpoints, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(checkpoints))
    notebook, parameters = runs.PROJECT / "notebooks" / f"{name}.ipynb", TINY[name] | {"run": "tiny"}
    papermill.execute_notebook(str(notebook), str(tmp_path / "out.ipynb"), parameters, progress_bar=False)
    assert json.loads((tmp_path / "results" / name / "tiny" / "metrics.json").read_text())
