"""The ledger: verdicts from intervals, numbers from records, and claims.json as code makes it from them."""

import json
import subprocess

import pytest

import ledger as claims
from ledger import evidence
from ledger.claim import Claim
from ledger.digits import trained
from ledger.evidence import FAILS, HOLDS, OPEN, UNTESTED, above, below, near
from tiwlib import runs


def measured(low, high):
    return evidence.Measured((low + high) / 2, low, high, "t", [0, 1], ["04_train/a"])


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (below(0), -2, -1, HOLDS),
        (below(0), 1, 2, FAILS),
        (below(0), -1, 1, OPEN),
        (above(0.75), 0.8, 0.9, HOLDS),
        (above(0.75), 0.1, 0.2, FAILS),
        (above(0.75), 0.7, 0.8, OPEN),
        (near(0, 0.05), -0.02, 0.04, HOLDS),
        (near(0, 0.05), 0.06, 0.08, FAILS),
        (near(0, 0.05), -0.01, 0.06, OPEN),
        (near(0, 0.05), -10, 10, OPEN),  # to hold the target is not to be shown equal
    ],
)
def test_the_interval_decides(rule, low, high, verdict):
    assert rule.verdict(measured(low, high)) == verdict


def claim(measure, rule, sweep="ledger"):
    return Claim("i", "s", "ours", "digits-lt", "q", measure, rule, sweep)


def test_a_claim_without_its_runs_is_not_tested_and_says_what_makes_them():
    def missing():
        raise evidence.Missing("no finished run of 04_train")

    entry = claim(missing, below(0), "cifar10").judged()
    assert entry["verdict"] == UNTESTED and "value" not in entry
    assert entry["why"] == "no finished run of 04_train: make sweep CONFIG=workflow/cifar10.yaml"

    def unmeasured():
        return evidence.number({"run": "04_train/a", "metrics": {"x": None}}, "x")

    assert claim(unmeasured, below(0)).judged()["why"] == "04_train/a does not measure x"


def test_an_open_verdict_says_why():
    entry = claim(lambda: measured(-1, 1), below(0)).judged()
    assert (entry["verdict"], entry["notebooks"]) == (OPEN, ["04_train"]) and "both sides" in entry["why"]


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """Records of two methods for three seeds of the ledger; the second's third seed has another split."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    planned = [r for r in evidence.planned("ledger") if r.notebook == "04_train"]
    for r in planned:
        p = r.params
        if p["method"] in ("tiw_dsm", "iw_dsm") and p["seed"] < 3:
            r.folder.mkdir(parents=True)
            split = "other" if (p["method"], p["seed"]) == ("iw_dsm", 2) else f"split {p['seed']}"
            value = {"tiw_dsm": [0.1, 0.2, 0.3], "iw_dsm": [0.4, 0.7, 0.0]}[p["method"]][p["seed"]]
            runs.write_json(r.folder / "params.json", p)
            runs.write_json(r.folder / "provenance.json", {"hashes": {"split": split}})
            runs.write_json(r.folder / "metrics.json", {"total_variation": value, "shares": [0.2, 0.8]})
    return planned


def test_runs_are_paired_by_seed_and_split(digits):
    found = evidence.difference(trained("tiw_dsm", "total_variation"), trained("iw_dsm", "total_variation"))
    half = 12.7062 * 0.1  # t(0.975, 1) s / sqrt(n) of -0.3 and -0.5
    assert (found.value, found.low, found.high) == pytest.approx((-0.4, -0.4 - half, -0.4 + half), abs=1e-4)
    assert found.seeds == [0, 1] and "04_train/digits-lt-iw_dsm-seed0" in found.runs
    alone = evidence.repeated(trained("tiw_dsm", "total_variation"))
    assert alone.value == pytest.approx(0.2) and alone.seeds == [0, 1, 2]
    first = trained("tiw_dsm", lambda metrics: metrics["shares"][1])
    assert evidence.repeated(first).value == pytest.approx(0.8)


def test_a_run_with_other_parameters_is_not_the_run_that_was_planned(digits):
    r = next(r for r in digits if (r.params["method"], r.params["seed"]) == ("tiw_dsm", 1))
    runs.write_json(r.folder / "params.json", {**r.params, "steps": 5})
    assert trained("tiw_dsm", "total_variation").seeds == [0, 2]


def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(digits):
    with pytest.raises(ValueError, match="differ in method"):
        evidence.records("ledger", "04_train", reference_fraction=None, alpha=1.0)


def test_what_a_record_does_not_hold_is_named(digits):
    with pytest.raises(evidence.Unmeasured, match="digits-lt-tiw_dsm-seed0 does not measure 'recall'"):
        trained("tiw_dsm", "recall")
    with pytest.raises(evidence.Missing, match="no finished run of 04_train with method w_only"):
        trained("w_only", "total_variation")


def test_every_claim_has_a_name_of_its_own_and_a_sweep_that_exists():
    assert len({c.id for c in claims.CLAIMS}) == len(claims.CLAIMS)
    for c in claims.CLAIMS:
        assert (runs.PROJECT / "workflow" / f"{c.sweep}.yaml").is_file()
        assert c.source.split(",")[0] in ("paper", "ours")


def test_the_committed_ledger_is_what_the_records_say(monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(runs.PROJECT / "results"))
    command = ["git", "-C", runs.PROJECT, "diff", "--quiet", "HEAD", "--", "results/*.json"]
    if subprocess.run(command).returncode:
        pytest.skip("results were made anew here, or this is no git checkout")
    committed = json.loads((runs.PROJECT / "results" / "claims.json").read_text())
    assert committed == claims.judged(), "results/claims.json is stale: run `make claims`"
