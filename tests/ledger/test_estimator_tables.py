"""The tables of estimators on rows whose numbers are known."""

import pandas as pd

from ledger import estimator_tables as tables


def rows_of(values: dict) -> pd.DataFrame:
    """Rows from {(estimator, seed, n_reference): error}."""
    return pd.DataFrame(
        [{"estimator": e, "seed": s, "n_reference": n, "error": v} for (e, s, n), v in values.items()]
    )


ROWS = {
    ("posterior", 1, 25): 0.5,
    ("posterior", 0, 25): 0.25,
    ("plain", 0, 25): 0.75,
    ("plain", 1, 25): 1.75,
    ("plain", 0, 100): 0.5,
    ("posterior", 0, 100): 0.75,
    ("posterior", 1, 100): 9.0,
    ("oracle", 0, 25): 0.125,
}
COLUMNS = {"column": "n_reference", "title": "{} references", "metric": "error"}


def cells(table: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return {name: rest for name, *rest in lines if name != "---"}


def test_a_table_has_a_row_for_each_estimator_and_its_seeds_in_each_cell():
    table = tables.crossed(rows_of(ROWS), "estimator", ("plain", "posterior", "oracle", "mixture"), **COLUMNS)
    assert cells(table) == {
        "estimator": ["25 references", "100 references"],
        "plain": ["1.25 (0.75, 1.75)", "0.5"],
        "posterior": ["0.375 (0.5, 0.25)", "4.88 (0.75, 9)"],
        "oracle": ["0.125"],
    }
    assert table.endswith("Seeds: 0, 1.")


def test_a_difference_is_that_of_one_seed_and_one_size():
    """Seed 1 has no plain ratio of 100 references, and the oracle is no rival."""
    table = cells(tables.minus_plain(rows_of(ROWS), **COLUMNS))
    assert table.keys() == {"estimator", "posterior"}
    assert table["posterior"] == ["-0.875 (-1.25, -0.5)", "0.25"]


def test_tries_are_named_by_their_options():
    rows = rows_of({("plain", s, 50): s / 4 for s in (1, 3)}).assign(attempt=1)
    rows["options"] = [{"steps": 600, "lr": 1e-3}] * 2
    table = tables.of_tries(
        rows, ["estimator", "attempt"], lambda r: (r.estimator, r.options), {"error": "error"}
    )
    assert cells(table)["plain"] == ["steps 600, lr 0.001", "0.5 (0.25, 0.75)", "2"]


def test_rows_that_no_benchmark_has_made_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("tiwlib.runs.tables.PROJECT", tmp_path)
    assert tables.tries() == "Not measured yet: `estimators-tuning`."
