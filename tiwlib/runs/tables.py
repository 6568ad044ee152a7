"""The records of notebook 04 as tables: which runs may be compared, what they measured, and what they cost."""

import re

import pandas as pd

from tiwlib.objectives import METHODS

FREE = ("run", "method", "seed", "reference_fraction")  # what runs that are compared may always differ in


def run_key(method: str, reference_fraction: float | None) -> str:
    """The name of a method's runs in records: the method, and the mixture where it is not the method's own."""
    if reference_fraction is None:
        return method
    return (
        f"{method}_half"
        if reference_fraction == 0.5
        else f"{method}_pi_{reference_fraction:g}".replace(".", "_")
    )


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


def comparable(found: list[dict], vary: tuple[str, ...] = ()) -> None:
    """Refuse runs that differ in more than FREE and `vary`, or in their images: a ValueError names both and in what.

    found: as from runs.finished.
    """
    for r in found:
        first = found[0]
        names = sorted(r["params"].keys() | first["params"].keys())
        differing = [
            n for n in names if n not in FREE + vary and r["params"].get(n) != first["params"].get(n)
        ]
        if differing or r["provenance"]["hashes"]["images"] != first["provenance"]["hashes"]["images"]:
            what = ", ".join(differing) or "their images"
            raise ValueError(
                f"runs {first['run']} and {r['run']} differ in {what}: move one folder elsewhere"
            )


def table(found: list[dict]) -> pd.DataFrame:
    """A row for each run: run, seed, split (hash), method (key), setting, alpha, and all numbers of its metrics."""
    rows = [
        {
            "run": r["run"],
            "seed": r["params"]["seed"],
            "split": r["provenance"]["hashes"]["split"],
            "method": run_key(r["params"]["method"], r["params"]["reference_fraction"]),
            "setting": r["metrics"]["setting"],
            "alpha": r["params"]["alpha"],
            **{name: value for name, value in r["metrics"].items() if isinstance(value, int | float)},
        }
        for r in found
    ]
    return pd.DataFrame(rows)


def costs(found: list[dict]) -> pd.DataFrame:
    """A row for each run and stage: method, stage, seconds, peak_memory_mb; empty where no run has noted them.

    A ratio is fitted once and kept: a run that found one is given the cost of the run that fitted it, if that is
    among `found`. The classifier is left out: it measures, whatever the method. So is training that was taken up: its
    time is but a part.
    """
    fits = {r["provenance"]["hashes"].get("ratio"): r for r in found if "ratio" in _stages(r)}
    rows, left_out = [], ("classifier", "training, taken up")
    for r in found:
        stages = dict(_stages(r))
        fitted = fits.get(r["provenance"]["hashes"].get("ratio"))
        if stages.pop("ratio, kept", None) and fitted:
            stages["ratio"] = _stages(fitted)["ratio"]
        key = run_key(r["params"]["method"], r["params"]["reference_fraction"])
        rows += [{"method": key, "stage": s, **cost} for s, cost in stages.items() if s not in left_out]
    return pd.DataFrame(rows, columns=["method", "stage", "seconds", "peak_memory_mb"])


def _stages(record: dict) -> dict[str, dict]:
    return record["provenance"].get("stages", {})


def weights(found: list[dict]) -> pd.DataFrame:
    """weights.csv of all runs that have one, a mean over seeds: estimator, sigma, log10_w, share; may be empty."""
    kinds = {"tiw_dsm": "time-dependent", "iw_dsm": "time-independent"}
    parts = [
        pd.read_csv(r["folder"] / "weights.csv").assign(estimator=kinds[r["params"]["method"]])
        for r in found
        if r["params"]["method"] in kinds and (r["folder"] / "weights.csv").exists()
    ]
    columns = ["estimator", "sigma", "log10_w"]
    if not parts:
        return pd.DataFrame(columns=[*columns, "share"])
    return pd.concat(parts).groupby(columns, as_index=False).share.mean()


def vanishing(spread: pd.DataFrame) -> dict[float, float]:
    """Share of the biased images whose ratio is below 0.01, by noise level. spread: a weights.csv.

    It bins log10 w of w = r / (pi r + 1 - pi); in half-and-half batches r = 0.01 is log10 w = -1.70, an edge.
    """
    low = spread[spread.log10_w < -1.75]
    return {float(sigma): float(low.share[low.sigma == sigma].sum()) for sigma in spread.sigma.unique()}
