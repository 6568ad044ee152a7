"""Benchmarks of many rows: what is there is not made again, and what is asked for is what the pages read."""

import json

import estimators
import pytest
import ratio_ablations
import rows

from tiwlib import runs
from tiwlib.data.problems import gmm
from tiwlib.runs.tables import benchmark


def test_a_stopped_benchmark_goes_on(tmp_path):
    made, path = [], tmp_path / "a.json"

    def make(seed, name):
        made.append((seed, name))
        if seed == 1 and len(made) < 4:
            raise KeyboardInterrupt
        return [{"variant": variant, "value": seed} for variant in "xy"]

    asked = [{"seed": seed, "name": name} for seed in (0, 1) for name in ("a", "b")]
    with pytest.raises(KeyboardInterrupt):
        rows.fill(path, asked, make)
    assert len(json.loads(path.read_text())["rows"]) == 4
    found = rows.fill(path, asked, make)
    assert made == [(0, "a"), (0, "b"), (1, "a"), (1, "a"), (1, "b")]
    assert found == json.loads(path.read_text())["rows"] and len(found) == 8
    assert {"seed", "name", "variant", "value", "chip", "commit", "dirty", "date", "torch"} <= found[0].keys()


@pytest.mark.parametrize(("text", "seeds"), [("0-2", [0, 1, 2]), ("3", [3]), ("1,5", [1, 5])])
def test_seeds_of_a_command(text, seeds):
    assert rows.seeds_of(text) == seeds


def test_the_ablations_that_are_committed_are_those_that_are_asked_for():
    there = benchmark("ratio-ablations")
    for part, (seeds, cells) in ratio_ablations.ASKED.items():
        of_part = there[there.part == part]
        assert set(of_part.seed) == set(seeds) and len(of_part) % (len(seeds) * len(cells)) == 0
    quality = there[there.part == "quality"]
    assert len(quality) == 5 * len(ratio_ablations.CELLS)


def test_an_ablation_is_judged_beside_the_exact_ratio(monkeypatch):
    """A ratio that is exact has no error, and the share of the exact ratio with the same noise."""
    monkeypatch.setattr(ratio_ablations, "fit", lambda pair, seed, **_: Exact())
    monkeypatch.setattr(ratio_ablations.weights, "calibration_error", lambda heldout: 0.0)
    monkeypatch.setattr(
        ratio_ablations, "sample", lambda denoiser, seed: ratio_ablations.two_d.drawn(denoiser, 50, steps=4)
    )
    ratio_ablations.exact_share.cache_clear()
    (row,) = ratio_ablations.quality(0, "length", 50)
    assert row["length"] == 50 and row["reference"] == ratio_ablations.BASE["reference"]
    assert row["ratio_error"] < 1e-9 and row["share_error"] == 0
    ratio_ablations.exact_share.cache_clear()


class Exact:
    heldout_loss, heldout = 0.5, None

    def log_ratio(self, x, sigma):
        return ratio_ablations.EXACT_RATIO.log_ratio(x, sigma)


def test_the_estimators_are_asked_on_validation_splits_where_they_are_tuned():
    tuning = estimators.asked("tuning", rows.seeds_of(estimators.SEEDS["tuning"]), [])
    assert {row["seed"] for row in tuning} == {100, 101, 102, 103}
    tries = {name: len(part) for name, part in estimators.TRIES.items()}
    assert set(tries.values()) == {4} and all(part[0] == {} for part in estimators.TRIES.values())
    assert len(tuning) == 4 * sum(tries.values())
    digits = estimators.asked("digits", [0], ["oracle"])
    assert [row["setting"] for row in digits] == list(estimators.SETTINGS)


def test_a_row_of_the_2_d_example(monkeypatch):
    (row,) = estimators.two_d("mixture", 0, 25, "within_modes")
    assert row.keys() == {"ratio_error", "score_error", "heldout_loss", "seconds"}
    assert row["ratio_error"] > 0.5, "two clusters do not see this bias"
    with pytest.raises(KeyError):
        estimators.two_d("mixture", 0, 25, "magic")


def test_the_two_d_problem_has_the_densities_that_it_is_given():
    pair = estimators.TWO_D_PAIRS["within_modes"]
    moved, usual = gmm(n=4000, pair=pair), gmm(n=4000)
    mean = moved.biased[moved.biased.sum(1) > 0].mean(0)
    assert mean.tolist() == pytest.approx([3.0, 1.0], abs=0.1)  # 2,000 points of width 1
    assert moved.key != usual.key


def test_a_table_of_rows_names_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("tiwlib.runs.tables.PROJECT", tmp_path)
    with pytest.raises(FileNotFoundError, match="gone.json"):
        benchmark("gone")
    path = tmp_path / "benchmarks" / "results" / "a.json"
    runs.write_json(path, {"rows": [{"seed": 0, "part": "x"}, {"seed": 1, "part": "y"}]})
    assert benchmark("a", part="y").to_dict("records") == [{"seed": 1, "part": "y"}]
    with pytest.raises(KeyError, match="other"):
        benchmark("a", other=1)
