"""No claim is judged from samples that cannot be read."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import ledger
from ledger import evidence, report
from ledger.claim import Claim
from ledger.evidence import Values
from ledger.readable import of_baselines
from ledger.rules import HOLDS, UNREADABLE, UNTESTED, above, below
from tiwlib import runs

SHARES = (np.array([475, 75]) / 550).tolist()  # of the batches of DSM(obs) on digits-colour-90
PARAMS = {
    "setting": "digits-colour-90",
    "reference_fraction": None,
    "alpha": 1.0,
    "ratio": "plain",
    "steps": 2000,
}
METRICS = {"group_shares": SHARES, "n_samples": 1000, "classifier_accuracy": 0.99, "unsure": 0.0}
METRICS |= {"reference_fraction": 1 / 11, "setting": "digits-colour-90"}


def write(root, run, method, seed=0, notebook="05_train", metrics=METRICS, **params):
    folder = root / notebook / run
    runs.write_json(folder / "params.json", PARAMS | {"method": method, "seed": seed, "run": run} | params)
    runs.write_json(folder / "metrics.json", metrics)
    runs.write_json(folder / "provenance.json", {"hashes": {}})


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    for seed in (0, 1):
        write(tmp_path, f"tiw{seed}", "tiw_dsm", seed)
    return tmp_path


def claim(*names, id="i", **about):
    """A claim that holds, on runs of these names."""
    values = Values(
        by_pair={(0, None): -2.0, (1, None): -1.9}, runs=tuple(f"05_train/{name}" for name in names)
    )
    about = {"statement": "s", "source": "ours", "setting": "s", "quantity": "q", "rule": below(0)} | about
    return Claim(id=id, measure=lambda: evidence.repeated(values), **about)


def plain(results, precision, **params):
    for seed in (0, 1):
        write(results, f"obs{seed}", "dsm_obs", seed, metrics=METRICS | {"precision": precision}, **params)


def test_a_claim_on_a_readable_table_is_judged(results):
    plain(results, 0.85)
    (entry,) = ledger.judged([claim("tiw0", "tiw1")])
    assert entry["verdict"] == HOLDS and "why" not in entry and entry["looked_at"] == 1


def test_a_claim_on_an_unreadable_table_is_not(results):
    plain(results, 0.75)
    other = claim(id="other")  # of a notebook that draws no images
    entry, kept = ledger.judged([claim("tiw0", "tiw1"), other])
    assert entry["verdict"] == UNREADABLE and entry["why"] == "not readable: precision 0.75, below 0.8"
    assert entry["value"] == pytest.approx(-1.95), "the number stays"
    assert not {"p_value", "underpowered", "verdict_among_all", "looked_at"} & entry.keys()
    assert kept["verdict"] == HOLDS and kept["looked_at"] == 1


def test_one_unreadable_run_is_enough(results):
    """A difference of two settings, of which one cannot be read."""
    plain(results, 0.85)
    write(results, "long", "tiw_dsm", steps=9)
    (entry,) = ledger.judged([claim("tiw0", "long")])
    assert entry["why"] == "not readable: no finished run of its plain model"


def test_the_plain_model_of_another_length_does_not_vouch_for_a_table(results):
    plain(results, 0.95, steps=9)
    assert ledger.judged([claim("tiw0", "tiw1")])[0]["verdict"] == UNREADABLE


def test_a_number_that_no_sample_enters_is_judged_all_the_same(results):
    plain(results, 0.75)
    (entry,) = ledger.judged([claim("tiw0", "tiw1", of_samples=False)])
    assert entry["verdict"] == HOLDS
    exempt = {c.id for c in ledger.CLAIMS if not c.of_samples}
    named = ("weights", "bias-left", "step", "ensemble-digits")
    assert {"weights-75"} <= exempt and all(any(part in id for part in named) for id in exempt)


def test_rows_of_a_benchmark_stand_in_the_table_of_the_runs_that_they_name(results, monkeypatch):
    rows = pd.DataFrame([{"seed": s, "far": 2.0 + s, "run": f"tiw{s}"} for s in (0, 1)])
    monkeypatch.setattr(evidence, "benchmark", lambda name, **where: rows)
    about = {
        "statement": "s",
        "source": "ours",
        "setting": "digits-colour-90",
        "quantity": "q",
        "rule": above(-99),
    }
    claims = [
        Claim(id="i", measure=lambda: evidence.repeated(evidence.of_benchmark("copies", "far")), **about)
    ]
    plain(results, 0.85)
    assert ledger.judged(claims)[0]["verdict"] == HOLDS
    plain(results, 0.75)
    assert ledger.judged(claims)[0]["why"] == "not readable: precision 0.75, below 0.8"
    rows = rows.drop(columns="run")
    assert ledger.judged(claims)[0]["why"] == "no run says whether its samples can be read"
    (in_two_d,) = ledger.judged([dataclasses.replace(claims[0], setting="2-D")])
    assert in_two_d["verdict"] == HOLDS, "points have no quality to doubt"


def test_a_row_without_the_number_is_no_measurement(monkeypatch):
    """As the distance of a group's samples is, where there is no sample of the group."""
    rows = pd.DataFrame([{"seed": 0, "far": 2.0}, {"seed": 1, "far": None}])
    monkeypatch.setattr(evidence, "benchmark", lambda name, **where: rows)
    with pytest.raises(evidence.Missing, match="a row of copies does not measure far"):
        evidence.of_benchmark("copies", "far")


def test_a_claim_without_runs_stays_untested(results):
    def missing():
        raise evidence.Missing("no run")

    about = {"statement": "s", "source": "ours", "setting": "s", "quantity": "q", "rule": below(0)}
    (entry,) = ledger.judged([Claim(id="i", measure=missing, **about)])
    assert entry["verdict"] == UNTESTED


# ---------------------------------------------------------------- notebook 07


def cells(**values):
    return {name: {"seeds": seeds} for name, seeds in values.items()}


def of(precision=0.9, shares=(0.9, 0.1), confusion=((50, 0), (0, 50)), **more):
    row = cells(precision=[precision] * 2, group_shares=[list(shares)] * 2, **more)
    about = {"n_samples": 2000, "biased_shares": [0.9, 0.1], "judge_confusion": confusion}
    return of_baselines({"methods": {"dsm_bias": row}} | about)


def test_the_plain_model_of_the_baselines_is_that_of_the_biased_set():
    assert of().readable and of().unknown == ("unsure",) and of(unsure=[0.0, 0.0]).unknown == ()
    assert "precision 0.58" in of(precision=0.58).text
    assert "unsure" in of(unsure=[0.2, 0.1]).text
    assert not of(shares=(0.85, 0.15)).readable
    assert of(shares=(0.85, 0.15), confusion=[[45, 5], [0, 50]]).readable, (
        "the judge errs by five of a hundred"
    )
    assert of(confusion=None).readable, "an exact rule has no confusion"
    assert of_baselines({"methods": {}}) is None


def test_claims_of_notebook_07_have_the_same_guard(results):
    record = {"methods": {"dsm_bias": cells(precision=[0.5], group_shares=[[0.9, 0.1]])}}
    record |= {"n_samples": 2000, "biased_shares": [0.9, 0.1], "judge_confusion": None}
    write(results, "low-high", "", notebook="07_baselines", metrics=record)
    values = Values(by_pair={(0, None): -2.0, (1, None): -1.9}, runs=("07_baselines/low-high",))
    about = {"statement": "s", "source": "ours", "setting": "s", "quantity": "q", "rule": below(0)}
    (entry,) = ledger.judged([Claim(id="i", measure=lambda: evidence.repeated(values), **about)])
    assert entry["verdict"] == UNREADABLE and "precision 0.50" in entry["why"]


# ---------------------------------------------------------------- the pages


def test_the_page_counts_them_apart_and_folds_them_away(results):
    plain(results, 0.75)
    runs.write_json(results / "claims.json", ledger.judged([claim("tiw0", "tiw1"), claim(id="other")]))
    said = report.verdict()
    assert (
        "Of 1 claims that were measured" in said
        and "1 are not judged, for their samples cannot be read" in said
    )
    page = report.claims()
    assert f"{UNREADABLE}: 1 claims" in page and "precision 0.75, below 0.8" in page and "q: -1.95" in page
    assert page.count("**holds**") == 1


def test_the_committed_mnist_table_is_marked_by_code():
    """Half of its samples are no digits: the mark follows from the records, nobody has typed it."""
    committed = json.loads((runs.PROJECT / "results" / "claims.json").read_text())
    about = [e for e in committed if e["setting"] == "mnist-lt-5" and "weights" not in e["id"]]
    assert about and {e["verdict"] for e in about} <= {UNREADABLE, UNTESTED}
