"""The rows of a table of an image setting: its runs, the controls below them, and the mark of its readability."""

import json

import numpy as np

from ledger.markdown import cell_of
from tiwlib.data.settings import SETTINGS
from tiwlib.measures.floor import fair_floor
from tiwlib.measures.intervals import as_text
from tiwlib.measures.shares import total_variation
from tiwlib.runs import guard, results_root
from tiwlib.runs.record import differences
from tiwlib.runs.tables import comparable

FIRST = "share of the first group"  # of the samples, the biased set's common hue
TITLES = {
    FIRST: "share of the common hue",
    "total_variation": "total variation of shares ↓",
    "frechet": "Frechet distance ↓",
    "precision": "precision ↑",
    "recall": "recall ↑",
    "nearest": "nearest image",
    "unsure": "unsure ↓",
}


# ---------------------------------------------------------------- records


def of_setting(trained: list[dict], setting: str, method: str, **params) -> list[dict]:
    """The records of a method on a setting: its own mixture, alpha 1 and the plain ratio unless asked otherwise."""
    usual = {"reference_fraction": None, "alpha": 1.0, "ratio": "plain", "base_steps": None}
    asked = {"setting": setting, "method": method, **usual, **params}
    chosen = [r for r in trained if all(r["params"].get(name) == value for name, value in asked.items())]
    if chosen:
        comparable(chosen)
    return chosen


def control(setting: str) -> dict | None:
    """What benchmarks/setting.py has measured of held-out real images; None where it has not run."""
    path = results_root() / "settings" / setting / "metrics.json"
    return json.loads(path.read_text())["control"] if path.exists() else None


def balanced_twin(plain: dict, trained: list[dict]) -> list[dict]:
    """The runs of the same plain model on as many images without a bias. plain: a run of DSM(obs)."""
    twin = f"{SETTINGS[plain['params']['setting']].source}-balanced"
    others = [r for r in trained if r["params"]["setting"] == twin]
    return [r for r in others if set(differences(plain["params"], r["params"])) <= {"setting", "seed"}]


# ---------------------------------------------------------------- rows


def value(metrics: dict, name: str) -> float | None:
    if name == FIRST:
        return metrics["group_shares"][0]
    return metrics.get(name)


def texts(rows: list[dict], names) -> list[str]:
    """A cell for each measure of the runs' metrics; empty where a run has not recorded it."""
    cells = []
    for name in names:
        values = [value(metrics, name) for metrics in rows]
        bounded = "minority_share" if name == FIRST else name
        cells.append("" if None in values or not values else as_text(cell_of(values), bounded))
    return cells


def exact(shares: np.ndarray, names) -> list[str]:
    """A cell for each measure that shares alone decide."""
    known = {
        FIRST: shares[0],
        "total_variation": total_variation(shares, np.full(len(shares), 1 / len(shares))),
    }
    return [f"{known[name]:.3f}" if name in known else "" for name in names]


def fair(groups: int, n: int, names) -> list[str]:
    """What a perfectly fair sampler of n images shows."""
    mean, most = fair_floor((1 / groups,) * groups, n)
    known = {
        FIRST: f"{1 / groups:.3g}, 95 % below {1 / groups + most:.3f}",
        "total_variation": f"{mean:.3f}, 95 % below {most:.3f}",
    }
    return [known.get(name, "") for name in names]


def controls(plain: list[dict], trained: list[dict], names) -> list[tuple]:
    """The rows below the methods: (label, seeds, *cells). plain: the runs of DSM(obs)."""
    setting, metrics = plain[0]["params"]["setting"], plain[0]["metrics"]
    rows = []
    if twin := balanced_twin(plain[0], trained):
        rows.append(
            ("plain training on balanced data", len(twin), *texts([r["metrics"] for r in twin], names))
        )
    batches = guard.batch_shares(setting, metrics["reference_fraction"])
    if batches is not None:
        rows.append(("the batches of DSM(obs)", "", *exact(batches, names)))
    if real := control(setting):
        label = f"held-out real images with these shares, {real['n_samples']:,}"
        rows.append((label, "", *texts([real], names)))
    groups, n = len(metrics["group_names"]), metrics["n_samples"]
    return [*rows, (f"a fair sampler, {n:,} images", "", *fair(groups, n, names))]


def mark(setting: str, params: dict, trained: list[dict]) -> str:
    """The sentence below a table: whether it can be read, beside what real images reach."""
    table = guard.readability(params, trained)
    if table.readable:
        said = f"**{setting} is readable**: the precision of DSM(obs) is {table.precision:.2f}"
    else:
        said = f"**{setting} is not readable**, and no claim about its samples is judged: {'; '.join(table.faults)}"
    said += f" (not recorded: {', '.join(table.unknown)})" if table.unknown else ""
    real = control(setting)
    beside = (
        f"; held-out real images have {real['precision']:.2f}, {real['unsure']:.1%} unsure" if real else ""
    )
    return f"{said}{beside}."
