"""Further seeds for what is open: which runs, under which names, and that the ledger then reads them."""

import pytest

from ledger import evidence, power
from ledger.digits import trained
from ledger.rules import HOLDS, OPEN
from tiwlib import runs
from workflow import plan

ENTRY = {"verdict": OPEN, "seeds": [0, 1, 2], "seeds_to_decide": 5}


@pytest.mark.parametrize(
    ("change", "seeds"),
    [
        ({}, [3, 4]),
        ({"seeds": [0, 1, 5]}, [6, 7]),  # never a seed that was left out
        ({"verdict": HOLDS}, []),
        ({"seeds_to_decide": "more than 20"}, []),
        ({"seeds_to_decide": 2}, []),  # they are there: only the interval's luck keeps it open
    ],
)
def test_the_seeds_that_a_claim_lacks(change, seeds):
    assert power.lacking(ENTRY | change) == seeds


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """Three finished seeds of two methods of the ledger's sweep, and no further seeds yet."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr("ledger.evidence.POWER", tmp_path / "power.yaml")
    monkeypatch.setattr("tiwlib.runs.PROJECT", tmp_path)
    chosen = {}
    for r in evidence.planned("reference_size"):
        p = r.params
        if p["setting"] == "digits-lt-25" and p["method"] in ("c_only", "tiw_dsm"):
            write(r, 0.1 * p["seed"])
            chosen[r.name] = r
    return chosen


def write(r, value):
    runs.write_json(r.folder / "params.json", r.params)
    runs.write_json(r.folder / "provenance.json", {"hashes": {}})
    runs.write_json(r.folder / "metrics.json", {"total_variation": value})


def test_the_sweep_has_the_missing_seeds_of_both_sides_and_the_ledger_reads_them(digits, monkeypatch):
    entry = ENTRY | {"runs": [f"05_train/{name}" for name in digits]}
    monkeypatch.setattr("ledger.power.ledger", lambda: [entry, {"verdict": "not tested here"}])
    assert trained("c_only", "total_variation", "reference_size", setting="digits-lt-25").seeds == (0, 1, 2)
    power.main()
    planned = plan.load(evidence.POWER).runs
    assert sorted(r.name for r in planned) == [
        f"digits-lt-25-{method}-seed{seed}" for method in ("c_only", "tiw_dsm") for seed in (3, 4)
    ]
    for r in planned:
        before = digits[r.name[:-1] + "0"]
        assert evidence.but_for_the_seed(r.params) == evidence.but_for_the_seed(before.params)
        write(r, 0.7)
    assert trained("c_only", "total_variation", "reference_size", setting="digits-lt-25").seeds == (
        0,
        1,
        2,
        3,
        4,
    )
    with pytest.raises(evidence.Missing):
        trained("w_only", "total_variation", "reference_size", setting="digits-lt-25")


def test_seeds_that_were_added_once_stay(digits, monkeypatch):
    entry = ENTRY | {"runs": [f"05_train/{name}" for name in digits if "c_only" in name]}
    monkeypatch.setattr("ledger.power.ledger", lambda: [entry])
    power.main()
    monkeypatch.setattr(
        "ledger.power.ledger", lambda: [entry | {"seeds": [0, 1, 2, 3, 4], "seeds_to_decide": 6}]
    )
    power.main()
    assert [r.params["seed"] for r in plan.load(evidence.POWER).runs] == [3, 4, 5]


def test_without_an_open_claim_nothing_is_written(digits, monkeypatch, capsys):
    monkeypatch.setattr("ledger.power.ledger", lambda: [ENTRY | {"verdict": HOLDS, "runs": []}])
    power.main()
    assert not evidence.POWER.exists() and "no claim is open" in capsys.readouterr().out


def test_a_run_whose_name_hides_its_seed_is_refused():
    with pytest.raises(ValueError, match="run='mine': must end with 'seed3'"):
        power.template({"run": "mine", "seed": 3})
