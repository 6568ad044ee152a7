"""The ledger: verdicts from intervals, numbers from records, and claims.json as code makes it from them."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import ledger
from ledger import evidence, rules
from ledger.claim import SEEDS, Claim
from ledger.digits import trained
from ledger.evidence import Values
from ledger.rules import FAILS, HOLDS, OPEN, UNTESTED, above, below, between, near
from ledger.two_d import minority_share
from tiwlib import runs


def measured(low, high, bounds=evidence.ANY):
    """Two seeds whose Student interval is (low, high)."""
    mean, spread = (low + high) / 2, (high - low) / 2 / 12.7062  # t(0.975, 1)
    values = Values(
        by_pair={(0, None): mean - spread, (1, None): mean + spread}, runs=("05_train/a",), bounds=bounds
    )
    return evidence.repeated(values)


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
def test_the_interval_decides_and_the_p_value_with_it(rule, low, high, verdict):
    found = measured(low, high)
    assert rule.verdict(found) == verdict
    assert (rule.p_value(found) < 0.05) == (verdict != OPEN)


def exact(share, error=0.001):
    return {"share": share, "low": share - error, "high": share + error}


@pytest.mark.parametrize(
    ("share", "rule", "verdict"),
    [(0.351, near(0.35, 0.005), HOLDS), (0.36, near(0.35, 0.005), FAILS), (0.3495, below(0.35), OPEN)],
)
def test_a_number_that_is_computed_is_decided_unless_the_limit_lies_within_its_error(share, rule, verdict):
    found = evidence.computed(exact(share), "r")
    assert rule.verdict(found) == verdict and rule.p_value(found) == (verdict == OPEN)
    assert not rule.underpowered(found)


def test_an_interval_stays_in_the_range_of_its_quantity():
    found = measured(-0.2, 0.4, evidence.UNIT)
    assert found.value == pytest.approx(0.1) and (found.low, found.high) == pytest.approx((0, 0.4))
    a = Values(by_pair={(0, 0): 0.9, (1, 0): 0.1}, runs=("a",), bounds=evidence.UNIT)
    b = Values(by_pair={(0, 0): 0.1, (1, 0): 0.9}, runs=("b",), bounds=evidence.UNIT)
    gap = evidence.difference(a, b)
    assert (gap.low, gap.high) == (-1, 1) and gap.values == pytest.approx((0.8, -0.8))


def test_an_interval_wider_than_the_room_of_the_rule_could_not_have_held():
    assert near(0, 0.05).underpowered(measured(-0.06, 0.05)) and not near(0, 0.05).underpowered(
        measured(0, 0.09)
    )
    assert not below(0).underpowered(measured(-10, 10)), "it has room without end"
    assert below(0.05).underpowered(measured(-0.01, 0.2, evidence.UNIT)), "shares end at 0"
    assert not below(0.05).underpowered(measured(0.06, 0.1, evidence.UNIT))


def test_how_many_seeds_would_decide():
    """The first number at which Student's interval of the same mean and spread leaves the limit."""
    found = measured(-1.0, 3.0)
    n = below(0).seeds_to_decide(found)
    spread = np.std(found.values, ddof=1)
    half = {k: stats.t.ppf(0.975, k - 1) * spread / k**0.5 for k in (n - 1, n)}
    assert half[n] < 1 <= half[n - 1]
    flat = Values(by_pair={(i, 0): v for i, v in enumerate([-1, 1, -1, 1.01])}, runs=("a",))
    assert below(0).seeds_to_decide(evidence.repeated(flat)) == "more than 20"


@pytest.mark.parametrize(
    ("yes", "n", "verdict", "needed"),
    [(6, 8, HOLDS, 6), (7, 8, OPEN, "more than 20"), (8, 8, OPEN, "more than 20"), (1, 3, OPEN, 5)],
)
def test_one_run_of_others_is_ordinary_only_where_enough_of_our_own_lie_on_both_sides(
    yes, n, verdict, needed
):
    """The share of runs below it has Clopper and Pearson's interval, whose ends are those of the beta distribution."""
    runs_of_ours = Values(by_pair={(i, None): float(i >= yes) for i in range(n)}, runs=("03/a",))
    found, rule = evidence.share_below(runs_of_ours, 0.5), between(0.025, 0.975)
    assert found.value == pytest.approx(yes / n) and found.bounds == (0, 1) and len(found.seeds) == n
    assert found.low == pytest.approx(stats.beta.ppf(0.025, yes, n - yes + 1))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, yes + 1, n - yes) if yes < n else 1)
    assert rule.verdict(found) == verdict and (rule.p_value(found) < 0.05) == (verdict != OPEN)
    assert rule.seeds_to_decide(found) == needed


def test_judged_together_more_is_asked_of_each():
    """Benjamini and Hochberg by hand: the k-th smallest of m is multiplied by m / k, and never above a larger one."""
    assert rules.among_all([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    spread = [measured(low, 1) for low in (0.1, -1)]
    entries = ledger.judged([claim(lambda m=m: m, above(0), id=str(i)) for i, m in enumerate(spread)])
    assert [e["verdict"] for e in entries] == [HOLDS, OPEN]
    assert [e["looked_at"] for e in entries] == [2, 2]
    weak = measured(0.001, 1)  # 0.05 alone, 0.1 beside another
    entries = ledger.judged(
        [claim(lambda: weak, above(0), id="a"), claim(lambda: spread[1], above(0), id="b")]
    )
    assert (entries[0]["verdict"], entries[0]["verdict_among_all"]) == (HOLDS, OPEN)


def test_claims_that_rest_on_one_closed_form_count_once():
    one, other = evidence.computed(exact(0.5), "01/a"), evidence.computed(exact(0.5), "02/a")
    trained = measured(0.4, 0.6)
    claims = [
        claim(lambda: one, near(0.5, 0.1), id="a"),
        claim(lambda: other, near(0.5, 0.1), id="b"),
        claim(lambda: one, below(0.6), id="another question"),
        claim(lambda: trained, near(0.5, 0.2), id="c"),
        claim(lambda: trained, near(0.5, 0.2), id="d"),
    ]
    entries = ledger.judged(claims)
    assert [e.get("same_number_as") for e in entries] == [None, "a", None, None, None]
    assert {e["looked_at"] for e in entries} == {4}, "networks that were trained are no closed form"
    committed = json.loads((runs.PROJECT / "results" / "claims.json").read_text())
    same = {e["id"] for e in committed if e.get("same_number_as") == "theorem-1"}
    assert same == {"c-only-minimiser", "mixture-told"}


def test_timings_of_one_run_are_one_run():
    values = Values(by_pair={(i, None): 1.0 + i / 100 for i in range(12)}, runs=("benchmarks/speed",))
    entry = claim(lambda: evidence.timed(values), below(1.43)).judged()
    assert entry["seeds"] == [0] and len(entry["values"]) == 12 and entry["asks"] == SEEDS
    assert entry["interval"] == "Student's t over 12 timings of one run"


def test_an_entry_says_how_many_seeds_there_are_and_how_many_are_asked_for():
    entry = claim(lambda: measured(-2, -1), below(0)).judged()
    assert (len(entry["seeds"]), entry["asks"]) == (2, 5)
    assert claim(lambda: evidence.computed(exact(0.5), "r"), near(0.5, 0.1)).judged()["asks"] == 0


def claim(measure, rule, sweep="ledger", id="i"):
    about = {"statement": "s", "source": "ours", "setting": "2-D", "quantity": "q"}
    return Claim(id=id, measure=measure, rule=rule, sweep=sweep, **about)


def test_a_claim_without_its_runs_is_not_tested_and_says_what_makes_them():
    def missing():
        raise evidence.Missing("no finished run of 05_train")

    entry = claim(missing, below(0), "cifar10").judged()
    assert entry["verdict"] == UNTESTED and "value" not in entry
    assert entry["why"] == "no finished run of 05_train: make sweep CONFIG=workflow/cifar10.yaml"

    def unmeasured():
        return evidence.number({"run": "05_train/a", "metrics": {"x": None}}, "x")

    assert "05_train/a does not measure x" in claim(unmeasured, below(0)).judged()["why"]


def test_a_record_that_lacks_its_key_is_no_record_that_is_missing():
    """A renamed key must not turn a claim into "not tested"."""
    record = {"run": "05_train/a", "metrics": {"frechet": 1.0, "inner": {"there": 1}}}
    for metric, key in (("classifier_frechet", "classifier_frechet"), (lambda m: m["inner"]["gone"], "gone")):
        with pytest.raises(KeyError, match=f"05_train/a: its metrics.json has no {key}"):
            claim(lambda metric=metric: evidence.number(record, metric), below(0)).judged()


@pytest.mark.parametrize(
    ("notebook", "measure", "key"),
    [
        ("01_density_ratio_2d", lambda: minority_share("tiw_dsm"), "tiw_dsm"),
    ],
)
def test_a_label_in_place_of_a_key_fails(notebook, measure, key, monkeypatch):
    old = {
        "trained": {"TIW-DSM": {}},
        "shares": [],
    }
    record = {"metrics": old, "params": {}, "provenance": {"hashes": {}}}
    monkeypatch.setattr("workflow.plan.Planned.done", lambda self: True)
    monkeypatch.setattr("ledger.evidence.read_record", lambda folder: record)
    with pytest.raises(KeyError, match=f"{notebook}/.*has no .*{key}"):
        measure()


def test_rows_of_a_benchmark_are_pairs_by_their_seed(monkeypatch):
    rows = [{"seed": s, "variant": v, "gap": s + (v == "b"), "only_a": s} for s in (0, 1) for v in "ab"]
    table = pd.DataFrame(rows)
    monkeypatch.setattr(
        evidence,
        "benchmark",
        lambda name, **where: table[(table[list(where)] == [*where.values()]).all(axis=1)],
    )
    a, b = (evidence.of_benchmark("rows", "gap", variant=v) for v in "ab")
    assert evidence.difference(b, a).value == 1 and a.seeds == (0, 1)
    entry = claim(lambda: evidence.difference(b, a), above(0), "benchmarks/x.py part").judged()
    assert entry["command"] == "python benchmarks/x.py part" and entry["runs"] == ["benchmarks/rows"]
    assert entry["notebooks"] == []
    with pytest.raises(ValueError, match="rows: several rows of one seed with {}: say which are meant"):
        evidence.of_benchmark("rows", "gap")
    with pytest.raises(evidence.Missing, match="no row of rows with variant c"):
        evidence.of_benchmark("rows", "gap", variant="c")
    with pytest.raises(KeyError, match="gone"):
        evidence.of_benchmark("rows", "gone", variant="a")


def test_an_open_verdict_says_why():
    entry = claim(lambda: measured(-1, 1), below(0)).judged()
    assert (entry["verdict"], entry["notebooks"]) == (OPEN, ["05_train"]) and "both sides" in entry["why"]
    assert (
        entry["seeds_to_decide"] == "more than 20"
        and "why" not in claim(lambda: measured(-2, -1), below(0)).judged()
    )


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """Records of two methods for three seeds of the ledger; the second's third seed has another split."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    planned = [r for r in evidence.planned("ledger") if r.notebook == "05_train"]
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
    assert (found.value, found.low, found.high) == pytest.approx((-0.4, -1, -0.4 + half), abs=1e-4)
    assert half > 0.6, "the interval ends where differences of shares do"
    assert found.seeds == (0, 1) and "05_train/digits-lt-iw_dsm-seed0" in found.runs
    alone = evidence.repeated(trained("tiw_dsm", "total_variation"))
    assert alone.value == pytest.approx(0.2) and alone.seeds == (0, 1, 2)
    first = trained("tiw_dsm", lambda metrics: metrics["shares"][1])
    assert first.bounds == evidence.ANY and trained("tiw_dsm", "total_variation").bounds == (0, 1)
    assert evidence.repeated(first).value == pytest.approx(0.8)


def test_a_run_with_other_parameters_is_not_the_run_that_was_planned(digits):
    r = next(r for r in digits if (r.params["method"], r.params["seed"]) == ("tiw_dsm", 1))
    runs.write_json(r.folder / "params.json", {**r.params, "steps": 5})
    assert trained("tiw_dsm", "total_variation").seeds == (0, 2)


def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(digits):
    with pytest.raises(ValueError, match="differ in method"):
        evidence.records("ledger", "05_train", reference_fraction=None, alpha=1.0)


def test_what_a_record_does_not_hold_is_named(digits):
    with pytest.raises(KeyError, match="digits-lt-tiw_dsm-seed0: its metrics.json has no recall"):
        trained("tiw_dsm", "recall")
    with pytest.raises(evidence.Missing, match="no finished run of 05_train with method w_only"):
        trained("w_only", "total_variation")


def test_every_claim_has_a_name_of_its_own_and_a_sweep_that_exists():
    assert len({c.id for c in ledger.CLAIMS}) == len(ledger.CLAIMS)
    for c in ledger.CLAIMS:
        script = c.sweep.split()[0] if c.sweep.startswith("benchmarks/") else f"workflow/{c.sweep}.yaml"
        assert (runs.PROJECT / script).is_file()
        assert c.source.split(",")[0] in ("paper", "ours")


def test_the_committed_ledger_is_what_the_records_say(monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(runs.PROJECT / "results"))
    command = ["git", "-C", runs.PROJECT, "diff", "--quiet", "HEAD", "--", "results/*.json"]
    if subprocess.run(command).returncode:
        pytest.skip("results were made anew here, or this is no git checkout")
    committed = json.loads((runs.PROJECT / "results" / "claims.json").read_text())
    assert committed == ledger.judged(), "results/claims.json is stale: run `make claims`"
