"""Tables that cannot be read are found by the runs of their plain model, and say why."""

import numpy as np
import pytest

from tiwlib.data import manifest
from tiwlib.measures.floor import fair_floor
from tiwlib.measures.readable import judge_error, of_plain_model
from tiwlib.runs import guard

BATCHES = np.array([0.7, 0.3])
FLOOR = fair_floor((0.7, 0.3), 1000)[1]
GOOD = {"precision": 0.85, "unsure": 0.01, "group_shares": [0.7, 0.3], "n_samples": 1000}
GOOD |= {"classifier_accuracy": 0.99, "reference_fraction": 1 / 11, "setting": "digits-lt"}


def of(*changes, error=0.01):
    rows = [GOOD | change for change in changes]
    return of_plain_model(rows, [BATCHES] * len(rows), [error] * len(rows))


def shifted(by):
    return {"group_shares": [0.7 + by, 0.3 - by]}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"precision": 0.8}, None),
        ({"precision": 0.799}, "precision 0.80, below 0.8"),
        ({"unsure": 0.05}, None),
        ({"unsure": 0.051}, "5.1% unsure, above 5%"),
        (shifted(FLOOR + 0.01 - 1e-9), None),  # counting and the judge's one wrong name in a hundred
        (shifted(FLOOR + 0.011), "from its batches'"),
        (shifted(-FLOOR - 0.011), "from its batches'"),
    ],
)
def test_each_measure_has_its_limit(change, fault):
    found = of(change)
    assert found.readable == (fault is None) and found.unknown == ()
    assert (found.text == "readable") if fault is None else (fault in found.text)


def test_shares_may_be_off_by_more_where_fewer_are_counted_or_the_judge_errs_more():
    off = shifted(0.05)
    assert not of(off).readable
    assert of(off | {"n_samples": 100}).readable and of(off, error=0.05).readable


def test_the_judges_error_is_known_from_few_images_only():
    """By hand, Wilson's upper limit of none of n is z^2 / (n + z^2)."""
    assert judge_error(1.0, 59) == pytest.approx(1.96**2 / (59 + 1.96**2), abs=1e-4)
    assert 0.01 < judge_error(0.99, 1000) < judge_error(0.99, 100)


def test_a_table_is_judged_by_the_mean_over_its_runs():
    """Else one of twenty sound runs would condemn it; and of distances, for errors to either side do not cancel."""
    assert of({"precision": 0.75}, {"precision": 0.86}).readable
    assert not of({"precision": 0.75}, {"precision": 0.84}).readable
    assert not of(shifted(0.1), shifted(-0.1)).readable


def test_what_is_not_recorded_is_named_and_condemns_nothing():
    old = {name: value for name, value in GOOD.items() if name != "unsure"}
    found = of_plain_model([old, GOOD], [BATCHES, BATCHES], [0.01, 0.01])
    assert found.readable and found.unknown == ("unsure",) and found.text == "readable (not recorded: unsure)"
    assert of_plain_model([GOOD], [None], [0.01]).unknown == ("shares of the batches",)
    bad = of_plain_model([old | {"precision": 0.5}], [BATCHES], [0.01])
    assert bad.text == "not readable: precision 0.50, below 0.8 (not recorded: unsure)"


def test_without_a_plain_model_no_table_is_readable():
    found = of_plain_model([], [], [])
    assert not found.readable and found.text == "not readable: no finished run of its plain model"


# ---------------------------------------------------------------- which runs

PARAMS = {"setting": "digits-lt", "method": "tiw_dsm", "seed": 3, "reference_fraction": None, "alpha": 2.5}
PARAMS |= {"ratio": "posterior", "steps": 1000, "run": "a"}


def record(**params):
    usual = {"method": "dsm_obs", "seed": 0, "alpha": 1.0, "ratio": "plain", "run": "b"}
    return {"run": "b", "params": PARAMS | usual | params, "metrics": GOOD}


@pytest.mark.parametrize(
    ("params", "plain"),
    [
        ({}, True),
        ({"seed": 7}, True),
        ({"method": "iw_dsm"}, False),
        ({"reference_fraction": 0.5}, False),  # plain training on other batches
        ({"setting": "digits-lt-5"}, False),
        ({"steps": 4000}, False),  # trained longer: another table
    ],
)
def test_the_plain_model_is_that_of_the_same_setting_and_budget(params, plain):
    assert bool(guard.plain_runs(PARAMS, [record(**params)])) == plain


def test_the_batches_are_those_of_the_setting():
    """By hand: of 500 images 90 % are red, and a reference set of 50 is one eleventh of what is observed."""
    assert guard.batch_shares("digits-colour-90", 1 / 11) == pytest.approx([475 / 550, 75 / 550])
    assert guard.batch_shares("digits-colour-90", 0.5) == pytest.approx([0.7, 0.3])
    assert guard.batch_shares("celeba-5", 0.5) is None and guard.batch_shares("mine.json", 0.5) is None
    assert all(part.sum() == pytest.approx(1) for part in manifest.shares("mnist8-lt-5").values())
    assert manifest.shares("digits-balanced")["biased"] == pytest.approx([0.1] * 10)


def test_a_run_finds_the_table_that_it_stands_in():
    exact = guard.batch_shares("digits-lt", 1 / 11)
    good, fair = (
        record() | {"metrics": GOOD | {"group_shares": list(shares)}} for shares in (exact, np.full(10, 0.1))
    )
    assert guard.readability(PARAMS, [good]).readable
    assert not guard.readability(PARAMS, [fair]).readable, "a plain model cannot be fairer than its data"
    assert guard.readability(PARAMS, []).runs == 0


def test_a_readers_own_pair_is_judged_by_what_its_records_hold():
    """Its parameter `setting` is the default, and it has no groups."""
    own = {"precision": 0.9, "reference_fraction": 0.5, "setting": "own-pair"}
    found = guard.readability(PARAMS, [record() | {"metrics": own}])
    assert found.readable and found.unknown == ("unsure", "shares of the batches")
