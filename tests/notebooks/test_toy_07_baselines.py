"""Notebook 07 takes minutes: here it runs through at toy sizes.

`python tests/support/run_nbval.py --all` compares it with what is stored.
"""

import pytest

pytestmark = pytest.mark.slow
NAME = "07_baselines"
TINY = {
    "steps": 20, "tune_steps": 10, "seeds": 2, "n_samples": 200, "ratio_steps": 10,
    "adp_grid": {"hidden": [0], "temperature": [2.0], "gamma": [60.0]}, "invdiff_shares": [0.1],
}  # fmt: skip
IMAGES = TINY | {
    "problem": "digits-colour-90", "methods": ["dsm_bias", "tiw_dsm", "fine_tuning", "ambient", "domain_guidance"],
    "steps": 5, "tune_steps": 2, "seeds": 1, "n_samples": 40, "batch_size": 16, "sampling_steps": 4,
}  # fmt: skip


def test_it_runs_through(metrics_of):
    assert metrics_of(NAME, TINY)


def test_it_runs_through_on_images(metrics_of):
    """U-Nets, a judge of hues, and the quality of the samples beside their shares."""
    metrics = metrics_of(NAME, IMAGES)
    assert sorted(metrics["methods"]) == sorted(IMAGES["methods"]) and metrics["group_names"] == [
        "red",
        "blue",
    ]
    assert set(metrics["tuning"]) == {"unguided", "fine_tuning", "ambient", "domain_guidance"}
    for measures in metrics["methods"].values():
        assert all(0 <= measures[name]["mean"] <= 1 for name in ("precision", "recall", "unsure"))
