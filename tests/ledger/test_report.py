"""The README's numbers are those of the records, and what it reads in them is there."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ledger import baseline_tables, front, markdown, report, superseded, tables
from ledger.rules import HOLDS
from tiwlib import runs
from tiwlib.measures.floor import fair_floor
from tiwlib.runs.tables import without_tuning

NAMES = ("total_variation", "frechet")


@pytest.fixture
def committed(monkeypatch):
    """The README speaks of the committed records; where a run has replaced some, there is nothing to compare."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(runs.PROJECT / "results"))
    command = ["git", "-C", runs.PROJECT, "diff", "--quiet", "HEAD", "--", "results/*.json"]
    if subprocess.run(command).returncode:
        pytest.skip("results were made anew here, or this is no git checkout")


@pytest.mark.parametrize("page", report.PAGES, ids=lambda page: page.name)
def test_a_page_says_what_the_records_say(page, committed):
    assert report.filled(page) == page.read_text(), "tables are stale: run `python -m ledger.report`"


def test_what_the_readme_reads_in_the_mnist_table_is_in_the_records(committed):
    found = tables.record("metrics", "06_results", "mnist-lt-5")
    paired = found["differences"]
    assert all(paired["dsm_obs_minus_tiw_dsm"][name]["low"] > 0 for name in NAMES)
    assert all(cell["low"] < 0 < cell["high"] for cell in (paired["iw_dsm_minus_tiw_dsm"][n] for n in NAMES))
    assert paired["dsm_ref_minus_tiw_dsm"]["frechet"]["high"] < 0
    nearness = {key: cells["nearest"]["mean"] for key, cells in found["table"].items()}
    assert max(nearness, key=nearness.get) == "dsm_ref"
    assert all(cells["seeds"] == 2 for cells in found["table"].values())


def test_what_the_readme_reads_in_the_digits_table_is_in_the_records(committed):
    """Its sentences under the table, one by one: results that say otherwise must change the text."""
    table = tables.record("metrics", "06_results")["table"]
    shares, frechet = ({key: cells[name] for key, cells in table.items()} for name in NAMES)
    mean = {key: cell["mean"] for key, cell in shares.items()}
    assert max(mean, key=mean.get) == "dsm_obs" and min(mean, key=mean.get) == "dsm_ref"
    found = tables.record("metrics", "06_results")
    paired = found["differences"]["dsm_ref_minus_tiw_dsm"]
    assert paired["total_variation"]["high"] < 0
    assert paired["frechet"]["low"] < 0 < paired["frechet"]["high"]
    rival = found["differences"]["iw_dsm_minus_tiw_dsm"]
    assert all(rival[name]["low"] < 0 < rival[name]["high"] for name in (*NAMES, "recall"))
    assert rival["nearest"]["high"] < 0
    claims = ("digits-w-only", "digits-c-only", "digits-debiases", "digits-not-fair")
    assert {front.judged(id)["verdict"] for id in claims} == {HOLDS}
    assert found["differences"]["dsm_obs_minus_tiw_dsm"]["total_variation"]["low"] > 0
    assert mean["dsm_ref"] < mean["tiw_dsm"] < mean["dsm_obs_half"]
    copies, drawn = table["dsm_ref"], table["tiw_dsm"]
    assert copies["recall"]["high"] < 0.1 < drawn["recall"]["low"]
    assert copies["nearest"]["high"] < drawn["nearest"]["low"] / 2
    ratio = tables.record("metrics", "03_ratio_accuracy", "digits-lt")["training_length"]
    weighted = [r["mean"] for r in ratio if r["measure"] == "variation_after_weighting"]
    assert min(weighted) > 0.1, "the ratio corrects unseen images in part only"
    trained = tables.record("metrics", "01_density_ratio_2d", "seeds8")["trained"]["tiw_dsm"]
    assert trained["low"] < 0.5 < trained["high"], "in the 2-D example the objective meets its closed form"


def test_the_ratios_error_stands_beside_what_was_recorded_before_its_length_was_set():
    page = (runs.PROJECT / "docs" / "results.md").read_text()
    assert "; 0.496 (0.328 to 0.664) after 1,000 steps." in superseded.first_ratio_errors()
    assert page.index("<!-- ratio -->") < page.index("0.496 (0.328 to 0.664)") < page.index("<!-- digits -->")


# ---------------------------------------------------------------- what a table says


def test_a_tampered_record_writes_no_html_into_a_page():
    """Neither a tag, nor a link, nor the end of a cell or of a row."""
    text = markdown.row("<img src=x onerror=alert(1)>", "a | b", "a\nb", "[x](javascript:y)", "`z`")
    assert "<" not in text and ">" not in text and "\n" not in text
    assert text.count("|") - text.count("\\|") == 6, "five cells"
    assert "\\[x\\](javascript:y)" in text and "\\`z\\`" in text


@pytest.fixture
def tampered(tmp_path, monkeypatch):
    """The ledger and a run of notebook 07, by someone who means no good."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    evil = "<script>alert(1)</script> | x"
    entries = json.loads((runs.PROJECT / "results" / "claims.json").read_text())
    for entry in entries:
        for key in ("statement", "source", "setting", "quantity", "rule", "why", "verdict_among_all"):
            entry[key] = evil
    runs.write_json(tmp_path / "claims.json", entries)
    cell = {"mean": 0.1, "low": 0.0, "high": 0.2, "seeds": [0.1] * 5}
    measures = {"label": evil, "requires": evil, **dict.fromkeys(baseline_tables.COLUMNS, cell)}
    for problem in ("gmm", "digits-lt"):
        content = {"methods": dict.fromkeys(("dsm_bias", evil), measures), "problem": problem}
        recorded(tmp_path, problem, content)


def recorded(results: Path, problem: str, metrics: dict) -> None:
    """A finished run of notebook 07, as the tables read it."""
    folder = results / "07_baselines" / problem
    metrics = metrics | {"n_samples": 100, "biased_shares": [0.9, 0.1], "judge_confusion": None}
    for part, content in {"metrics": metrics, "params": {}, "provenance": {}}.items():
        runs.write_json(folder / f"{part}.json", content)


@pytest.mark.parametrize("part", [report.claims, baseline_tables.baselines], ids=lambda part: part.__name__)
def test_a_tampered_ledger_or_record_stays_text(part, tampered):
    text = part()
    assert "<script>" not in text and "&lt;script&gt;alert(1)&lt;/script&gt; \\| x" in text


def test_a_number_that_is_none_stops_the_report(tampered, tmp_path):
    entries = json.loads((tmp_path / "claims.json").read_text())
    entries[0]["value"] = "<img>"
    runs.write_json(tmp_path / "claims.json", entries)
    with pytest.raises(ValueError, match="Unknown format code"):
        report.claims()


def test_the_floor_of_a_fair_sampler_is_that_of_counting():
    """Against draws image by image."""
    mean, most = fair_floor((0.1,) * 10, 1000)
    draws = np.random.default_rng(1).choice(10, (2000, 1000))
    variations = [np.abs(np.bincount(draw, minlength=10) / 1000 - 0.1).sum() / 2 for draw in draws]
    assert mean == pytest.approx(np.mean(variations), abs=0.001)
    assert most == pytest.approx(np.quantile(variations, 0.95), abs=0.002)
    assert (round(mean, 3), round(most, 3)) == (0.038, 0.054)
    assert fair_floor((0.5, 0.5), 1)[0] == pytest.approx(0.5), "one image is of one group"
    with pytest.raises(ValueError, match="shares that sum to 1"):
        fair_floor((0.5, 0.6), 10)


def test_a_table_states_the_floor_of_its_own_samples(committed):
    last = next(line for line in tables.digits().splitlines() if "fair sampler" in line)
    assert last.startswith("| a fair sampler, 1,000 images |  | 0.038, 95 % below 0.054 |")


def test_of_few_seeds_the_single_values_are_printed(committed):
    table = tables.mnist()
    rows = [line for line in table.splitlines() if line.startswith(("| DSM", "| IW", "| TIW"))]
    assert len(rows) == 4 and all("(" in row and " to " not in row for row in rows)
    assert " to " in tables.digits()
    many = {"value": 0.2, "low": 0.1, "high": 0.4, "values": [0.1, 0.2, 0.2, 0.3], "seeds": [0, 1, 2, 3]}
    assert report.measured_text({**many, "quantity": "q"}) == "q: 0.2 (0.1 to 0.4)"
    few = {"value": 0.2, "low": -1.0, "high": 1.4, "values": [0.1, 0.3], "seeds": [0, 1]}
    assert report.measured_text({**few, "quantity": "q"}) == "q: 0.2 (0.1, 0.3)"


def test_the_sentence_on_the_ledger_counts_each_number_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    entry = {"seeds": [0, 1], "asks": 5, "underpowered": False}
    held = entry | {"id": "a", "verdict": "holds", "verdict_among_all": "not decided here"}
    again = held | {"id": "b", "same_number_as": "a"}
    opened = entry | {"id": "c", "verdict": "not decided here", "verdict_among_all": "not decided here"}
    weak = opened | {"id": "d", "underpowered": True, "seeds": [0, 1, 2, 3, 4]}
    untested = {"id": "e", "verdict": "not tested here"}
    runs.write_json(tmp_path / "claims.json", [held, again, opened, weak, untested])
    text = report.verdict()
    assert text.startswith(
        "Of 3 claims that were measured (1 more rest on a number that another one has), 1 hold, "
    )
    assert "0 do not hold here and 2 are not decided; judged together" in text and "5 %) 0, 0 and 3." in text
    assert "2 rest on fewer seeds" in text and "1 could not have held" in text and "1 were not tested" in text


def test_a_claim_that_is_not_decided_says_what_it_needs():
    claim = {"underpowered": True, "seeds_to_decide": 7}
    assert report.needs(claim) == "interval wider than the limit; decided by 7 seeds at this mean and spread"
    assert report.needs({"underpowered": False}) == ""


def test_the_readmes_first_sentence_is_what_the_records_say(committed):
    """Most of the way: in the hue and in the long tail less than half of what plain training has is left."""
    for setting in (front.shown(), front.TAIL):
        obs, tiw = (front.of_setting(setting, method) for method in ("dsm_obs", "tiw_dsm"))
        assert front.mean(tiw, "total_variation") / front.mean(obs, "total_variation") < 0.5
    assert "most of the way to fair ones" in front.headline()
    readme = (runs.PROJECT / "README.md").read_text()
    picture = runs.PROJECT / "results" / front.picture_of(front.shown())
    assert len(readme.encode()) < 12_000 and picture.exists()


def test_the_sentences_on_invdiff_s_losses_count_and_divide_what_the_rows_say():
    def row(model, common, rare, rare_held_out):
        training = {"common": common, "rare": rare}
        held_out = {"common": common, "rare": rare_held_out}
        return {"problem": "0v1", "model": model, "training": training, "held_out": held_out}

    rows = [row("dsm_bias", 0.3, 0.4, 0.5), row("dsm_bias", 0.3, 0.2, 0.7), row("invdiff", 0.4, 0.1, 0.4)]
    assert tables.harder(rows) == "The base model has the larger loss on the rare group in 1 of 2 runs."
    assert "on 0v1 50%, 25%: the lower, the more of the group is memorised" in tables.memorised(rows)


# ---------------------------------------------------------------- baselines


def test_quality_stands_beside_the_fairness_of_every_baseline(tmp_path, monkeypatch):
    """In the order of figures; single values of few seeds; nothing where an old record has not measured it."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    cell = {"mean": 0.2, "low": 0.1, "high": 0.3, "seeds": [0.1, 0.3]}
    old = {"label": "L", "requires": "R", "fairness_discrepancy": cell, "precision": cell, "recall": cell}
    new = old | {"label": "M", "frechet": cell, "unsure": cell}
    recorded(tmp_path, "0v1", {"problem": "0v1", "methods": {"ambient": new, "dsm_bias": old}})
    recorded(tmp_path, "digits-lt", {"problem": "digits-lt", "methods": {"dsm_bias": new}})
    recorded(tmp_path, "digits-lt-short", {"problem": "digits-lt", "methods": {"dsm_bias": new}})
    lines = baseline_tables.baselines().splitlines()
    titles = [line for line in lines if line.startswith("**")]
    assert titles[0].startswith("**digits-lt**, not readable: precision 0.20, below 0.8")
    known = "**0v1**, not readable: precision 0.20, below 0.8 (not recorded: unsure, shares of the batches)"
    assert titles[1].startswith(known) and "Superseded" in titles[1]
    text = "0.2 (0.1, 0.3)"
    assert lines[-2:] == [
        f"| L | R | {text} |  | {text} | {text} |  |",
        f"| M | R | {text} | {text} | {text} | {text} | {text} |",
    ]
    assert lines[2].count("↓") == 3 and lines[2].count("↑") == 2


@pytest.mark.parametrize(
    "setting", sorted(path.name for path in (runs.PROJECT / "results/settings").iterdir())
)
def test_a_group_is_decided_at_the_levels_that_its_runs_have(setting, committed):
    """The record of a setting says how many levels of training and sampler lie where the group is decided."""
    mine = runs.read_record(runs.PROJECT / "results/settings" / setting)["params"]
    trained = [
        r["params"] for r in without_tuning(runs.finished("05_train")) if r["params"]["setting"] == setting
    ]
    names = ("sigma_data", "noise_mean", "noise_std", "sampling_steps")
    asked = {tuple(params[name] for name in names) for params in trained}
    assert asked == {tuple(mine[name] for name in (*names[:3], "levels"))}
