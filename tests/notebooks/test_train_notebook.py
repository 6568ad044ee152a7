"""Notebook 05: what is wrong with its measures is said before anything is trained."""

import papermill
import pytest

from tiwlib import runs
from tiwlib.measures import inception


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"feature_extractor": "inception", "inception_weights": "nowhere.pth"}, inception.NAME),
        ({"feature_extractor": "fid"}, "must be one of inception, classifier, none"),
        ({"n_samples": 3}, "n_samples=3: must be at least 92"),
    ],
)
def test_measures_are_checked_before_the_training(parameters, message, tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    notebook = runs.PROJECT / "notebooks" / "05_train.ipynb"
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        papermill.execute_notebook(str(notebook), str(tmp_path / "out.ipynb"), parameters, progress_bar=False)
    assert not (tmp_path / "checkpoints").exists(), "nothing was fitted"
