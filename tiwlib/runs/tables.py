"""Records as tables: which runs of notebook 05 may be compared and what they measured; rows of benchmarks."""

import json
import re

import pandas as pd

from tiwlib.measures.intervals import cell
from tiwlib.objectives import METHODS
from tiwlib.runs.cache import PROJECT
from tiwlib.runs.record import differences

TIME = {"time_dependent": "time-dependent", "time_independent": "time-independent"}
# Measures of a run that are compared, and what axes and tables call them.
LABELS = {
    "total_variation": "total variation of shares (0 is fair)",
    "fid": "FID (Inception; less is better)",
    "frechet": "Frechet distance (our classifier; less is better)",
    "precision": "precision (more is better)",
    "recall": "recall (more is better)",
    "nearest": "nearest training image (distance; 0 is a copy)",
}
FREE = (
    "run",
    "method",
    "seed",
    "reference_fraction",
    "ratio",
    "base_steps",
)  # what runs that are compared may always differ in
VANISHED = -1.7  # log10 w of the ratio 0.01 in half-and-half batches, an edge of the bins of weights.csv
TUNING = 100  # seeds from here on have chosen a training length: no comparison takes them


def run_key(params: dict) -> str:
    """The name of a method's runs in records: the method, with estimator and mixture where they are not the usual."""
    estimator = [params["ratio"]] if params.get("ratio", "plain") != "plain" else []
    base = [f"base_{params['base_steps']:g}"] if params.get("base_steps") else []
    pi = params["reference_fraction"]
    mixture = [] if pi is None else ["half"] if pi == 0.5 else [f"pi_{pi:g}".replace(".", "_")]
    return "_".join([params["method"], *estimator, *base, *mixture])


def method_of(key: str) -> str:
    """The method of a key from `run_key`, or of another variant "<method>_<variant>"; else a ValueError."""
    names = [name for name in METHODS if key == name or key.startswith(f"{name}_")]
    if not names:
        raise ValueError(f"key={key!r}: must be a method, or begin with one and '_': {', '.join(METHODS)}")
    return max(names, key=len)


def run_label(key: str) -> str:
    """What figures and tables call a key: dsm_obs_half is "DSM(obs), half", tiw_dsm_alpha_2 "TIW-DSM, alpha 2"."""
    name = method_of(key)
    variant = re.sub(r"(\d)_(\d)", r"\1.\2", key[len(name) + 1 :]).replace("_", " ")
    return f"{METHODS[name].label}, {variant}" if variant else METHODS[name].label


def in_order(keys) -> list[str]:
    """Keys in the order of the methods, variants behind their method."""
    order = list(METHODS)
    return sorted(set(keys), key=lambda key: (order.index(method_of(key)), key))


def without_tuning(records: list[dict]) -> list[dict]:
    """The records whose seed has chosen nothing."""
    return [r for r in records if r["params"]["seed"] < TUNING]


def comparable(records: list[dict], vary: tuple[str, ...] = ()) -> None:
    """Refuse runs that differ in more than FREE and `vary`, or in what they trained on.

    records: as from runs.finished. All have the same images, and those of a seed and a setting the same split. The
    ValueError names two runs and the parameters in which they differ.
    """
    of_seed = {}
    for r in records:
        first = records[0]
        same_seed = of_seed.setdefault((r["params"]["seed"], r["params"]["setting"]), r)
        differing = [n for n in differences(first["params"], r["params"]) if n not in FREE + vary]
        if _hash(r, "images") != _hash(first, "images"):
            differing.append("their images")
        if _hash(r, "split") != _hash(same_seed, "split"):
            first, differing = same_seed, [*differing, "their splits, though not in the seed"]
        if differing:
            raise ValueError(
                f"runs {first['run']} and {r['run']} differ in {', '.join(differing)}: move one folder elsewhere"
            )


def _hash(record: dict, name: str) -> str | None:
    return record["provenance"]["hashes"].get(name)


def table(records: list[dict]) -> pd.DataFrame:
    """A row for each run: run, seed, split (hash), method (key), setting, alpha, and all numbers of its metrics."""
    rows = [
        {
            "run": r["run"],
            "seed": r["params"]["seed"],
            "split": _hash(r, "split"),
            "method": run_key(r["params"]),
            "setting": r["metrics"]["setting"],
            "alpha": r["params"]["alpha"],
            **{name: value for name, value in r["metrics"].items() if isinstance(value, int | float)},
        }
        for r in records
    ]
    return pd.DataFrame(rows)


def weights(records: list[dict]) -> pd.DataFrame:
    """weights.csv of the runs of TIW-DSM and IW-DSM that have one, a mean over seeds; may be empty.

    Columns: estimator, sigma, log10_w, share.
    """
    parts = [
        pd.read_csv(r["folder"] / "weights.csv").assign(estimator=TIME[METHODS[r["params"]["method"]].ratio])
        for r in records
        if r["params"]["method"] in ("tiw_dsm", "iw_dsm") and (r["folder"] / "weights.csv").exists()
    ]
    columns = ["estimator", "sigma", "log10_w"]
    if not parts:
        return pd.DataFrame(columns=[*columns, "share"])
    return pd.concat(parts).groupby(columns, as_index=False).share.mean()


def benchmark(name: str, **where) -> pd.DataFrame:
    """The rows of benchmarks/results/<name>.json that have these values, in the file's order; may be empty.

    No file is a FileNotFoundError, a column that no row has a KeyError.
    """
    rows = pd.DataFrame(json.loads((PROJECT / "benchmarks" / "results" / f"{name}.json").read_text())["rows"])
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.reset_index(drop=True)


def vanishing(spread: pd.DataFrame) -> dict[float, float]:
    """Share of the biased images whose ratio is below 0.01, by noise level. spread: a weights.csv.

    It bins log10 w of w = r / (pi r + 1 - pi), and has the lower edges.
    """
    low = spread[spread.log10_w < VANISHED - 0.05]  # half a bin: edges from a file may be rounded
    return {float(sigma): float(low.share[low.sigma == sigma].sum()) for sigma in spread.sigma.unique()}


def summary(frame: pd.DataFrame, measures) -> dict[str, dict]:
    """Each measure by method: key -> {"seeds": runs, measure: {mean, low, high, seeds}}; one run has no interval.

    frame: as from `table`; measures: names of its columns.
    """
    rows = {}
    for key, part in frame.groupby("method", sort=False):
        rows[key] = {"seeds": len(part)}
        for name in measures:
            rows[key][name] = cell(part[name])
    return rows


def paired(frame: pd.DataFrame, base: str, measures) -> dict[str, dict]:
    """Each method minus the method `base`: key -> {"pairs": n, measure: {mean, low, high, seeds}}, in order.

    A pair is two runs of one seed on one split; a method of fewer than two pairs is left out. frame, measures: as in
    `summary`.
    """
    runs = frame.assign(pair=list(zip(frame.seed, frame.split, strict=True)))
    of_method = {key: part.set_index("pair") for key, part in runs.groupby("method", sort=False)}
    rows = {}
    for key in in_order(of_method):
        pairs = sorted(of_method[key].index.intersection(of_method[base].index))
        if key == base or len(pairs) < 2:
            continue
        rows[key] = {"pairs": len(pairs)}
        for name in measures:
            rows[key][name] = cell(of_method[key][name][pair] - of_method[base][name][pair] for pair in pairs)
    return rows
