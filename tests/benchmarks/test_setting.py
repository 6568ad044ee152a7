"""The record of a setting at toy size: what the tables and a reader ask of it."""

import json

import numpy as np
import pytest
import setting

from ledger import image_rows, image_tables
from tiwlib.runs import guard


def test_one_command_makes_the_control_rows_and_the_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    setting.main(["digits-colour-90", "--steps", "2", "--n", "40"])
    folder = tmp_path / "settings" / "digits-colour-90"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (folder / "figures" / "decided.png").exists()
    batches = guard.batch_shares("digits-colour-90", metrics["reference_fraction"])
    assert metrics["batch_shares"] == pytest.approx(batches)
    real = metrics["control"]
    assert real["n_samples"] <= 40 and np.abs(np.array(real["group_shares"]) - batches).max() < 0.05
    assert real == image_rows.control("digits-colour-90")
    assert "digits-colour-90" in image_tables.decided() and "decided between sigma" in capsys.readouterr().out
    params = json.loads((folder / "params.json").read_text())
    edm = {"sigma_data": 0.5, "noise_mean": -1.2, "noise_std": 1.2, "levels": 18}
    assert params == edm | {"setting": "digits-colour-90", "seed": 0, "steps": 2, "n": 40}, (
        "no path of a machine"
    )


def test_the_levels_of_training_are_those_that_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    shares = []
    for mean in ("-1.2", "0.6"):
        setting.main(["digits-lt", "--steps", "2", "--n", "40", "--noise-mean", mean])
        metrics = json.loads((tmp_path / "settings" / "digits-lt" / "metrics.json").read_text())
        shares.append(metrics["decided"]["training_share"])
        (tmp_path / "settings" / "digits-lt" / "metrics.json").unlink()
    assert shares[0] != shares[1]
