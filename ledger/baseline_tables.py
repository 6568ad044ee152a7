"""The tables of notebook 07's records: fairness beside the quality of the samples that it was read from."""

from ledger.front import record
from ledger.markdown import header, plain, row
from ledger.readable import of_baselines
from tiwlib.measures.intervals import as_text
from tiwlib.runs import finished

COLUMNS = {
    "fairness_discrepancy": "fairness discrepancy ↓",
    "frechet": "Frechet distance ↓",
    "precision": "precision ↑",
    "recall": "recall ↑",
    "unsure": "unsure ↓",
}
SUPERSEDED = ("0v1", "low-high", "long-tail")
OLD = "Superseded by the settings of images: small networks on digits as points of 64 numbers."


def problems() -> list[str]:
    """The problems that have a record of their own, in the order of figures and tables."""
    # Here, for it takes a second and the other tables need none of it.
    from tiwlib.baselines import ORDER

    recorded = {r["run"] for r in finished("07_baselines") if r["run"] == r["metrics"]["problem"]}
    return [problem for problem in ORDER if problem in recorded]


def baselines() -> str:
    """A table for each problem of notebook 07: all methods, what they require, fairness and quality."""
    parts = []
    for problem in problems():
        metrics = record("metrics", "07_baselines", problem)
        mark = f", {plain(of_baselines(metrics).text)}." if "dsm_bias" in metrics["methods"] else "."
        parts += [f"**{plain(problem)}**{mark}" + (f" {OLD}" if problem in SUPERSEDED else ""), ""]
        parts += header("method", "requires", *COLUMNS.values())
        parts += [of_method(cells) for cells in in_order(metrics["methods"]).values()]
        parts.append("")
    return "\n".join(parts).rstrip()


def in_order(methods: dict) -> dict:
    """The methods of a record in the order of the registry; those that it does not know come last."""
    from tiwlib.baselines import BASELINES

    return {name: methods[name] for name in (*BASELINES, *methods) if name in methods}


def of_method(cells: dict) -> str:
    """A row: of fewer than four seeds the single values; "" for what the record has not measured."""
    numbers = (as_text(cells[name], name) if name in cells else "" for name in COLUMNS)
    return row(cells["label"], cells["requires"], *numbers)
