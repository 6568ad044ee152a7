"""The choices of plain training at toy size: one training serves both samplers, at the scale and levels of its row."""

import json

import training_choices

from tiwlib import noise, training
from tiwlib.runs import experiment as module


def test_a_row_for_each_sampler_of_one_training(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    first = training_choices.FIRST | {"steps": 1, "batch_size": 8}
    monkeypatch.setattr(training_choices, "FIRST", first)
    monkeypatch.setattr(training_choices, "OTHERS", ({"sigma_data": 0.5},))
    monkeypatch.setattr(training_choices, "SAMPLERS", (2, 3))
    calls, train = [], training.train

    def spy(denoiser, loss, data, levels, config, **options):
        calls.append((denoiser.sigma_data, levels))
        return train(denoiser, loss, data, levels, config, **options)

    monkeypatch.setattr(module.training, "train", spy)
    training_choices.main(["digits-lt", "--out", str(tmp_path)])
    assert calls == [(0.75, noise.LogNormal(-0.4, 1.0)), (0.5, noise.LogNormal(-0.4, 1.0))]
    rows = json.loads((tmp_path / "training-choices.json").read_text())["rows"]
    assert [(row["sigma_data"], row["sampling_steps"]) for row in rows] == [
        (0.75, 2),
        (0.75, 3),
        (0.5, 2),
        (0.5, 3),
    ]
    assert all(row["seed"] >= 100 and 0 <= row["from_batches"] <= 1 for row in rows)


def test_no_choice_is_asked_for_twice():
    asked = training_choices.asked(["digits-lt"])
    assert all(asked.count(row) == 1 for row in asked)
