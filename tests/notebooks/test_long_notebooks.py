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
IMAGES = TINY["07_baselines"] | {
    "problem": "digits-colour-90", "methods": ["dsm_bias", "tiw_dsm", "fine_tuning", "ambient", "domain_guidance"],
    "steps": 5, "tune_steps": 2, "seeds": 1, "n_samples": 40, "batch_size": 16, "sampling_steps": 4,
}  # fmt: skip


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


@pytest.mark.parametrize("name", TINY)
def test_it_runs_through(name, metrics_of):
    assert metrics_of(name, TINY[name])


def test_the_baselines_run_through_on_images(metrics_of):
    """U-Nets, a judge of hues, and the quality of the samples beside their shares."""
    metrics = metrics_of("07_baselines", IMAGES)
    assert sorted(metrics["methods"]) == sorted(IMAGES["methods"]) and metrics["group_names"] == [
        "red",
        "blue",
    ]
    assert set(metrics["tuning"]) == {"unguided", "fine_tuning", "ambient", "domain_guidance"}
    for measures in metrics["methods"].values():
        assert all(0 <= measures[name]["mean"] <= 1 for name in ("precision", "recall", "unsure"))
