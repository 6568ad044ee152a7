"""What was recorded first, and then made otherwise: the numbers stay beside those that took their place."""

import json

import numpy as np

from ledger.front import record
from ledger.image_rows import TITLES, texts
from ledger.markdown import header, row
from tiwlib.measures.intervals import as_text, cell
from tiwlib.objectives import METHODS
from tiwlib.runs import PROJECT

MEASURES = ("total_variation", "frechet", "precision", "recall", "nearest")
KIND = ("method", "ratio", "alpha", "reference_fraction")
OTHER = ", on other data, by a network whose log ratio did not fade with noise"


def recorded(name: str) -> dict:
    """A record of benchmarks/results that nothing makes anew."""
    return json.loads((PROJECT / "benchmarks" / "results" / f"{name}.json").read_text())


def first_ratio_errors() -> str:
    """The ratio's error as notebook 03 had recorded it before its present length, oldest first."""
    shares, records = [], recorded("ratio-error-first")["records"]
    for first in records:
        errors = zip(first["time_dependent"], first["time_independent"], strict=True)
        share = as_text(cell(dependent / independent for dependent, independent in errors))
        shares.append(f"{share} after {first['steps']:,} steps" + ("" if first["log_ratio_fades"] else OTHER))
    now, steps = (record(part, "03_ratio_accuracy") for part in ("metrics", "params"))
    before, after = (
        [f"{np.mean(errors[kind]):.4f}" for kind in ("time_dependent", "time_independent")]
        for errors in (records[-1], now["error_share"])
    )
    return (
        f"Records of the first number before the present one: {'; '.join(shares)}. From {records[-1]['steps']:,} "
        f"to {steps['ratio_steps']:,} steps the mean error of the time-dependent ratio went from {before[0]} to "
        f"{after[0]}, that of the time-independent one from {before[1]} to {after[1]}."
    )


def first_training() -> str:
    """The long-tailed digits as they were first trained, a row for each kind of run."""
    given_up = recorded("digits-lt-first-training")
    kinds = {}
    for run in given_up["rows"]:
        kinds.setdefault(tuple(run[name] for name in KIND), []).append(run)
    lines = header("method", "ratio", "alpha", "seeds", *(TITLES[name] for name in MEASURES))
    for (method, ratio, alpha, fraction), runs in kinds.items():
        label = METHODS[method].label + (", half" if fraction == 0.5 and method == "dsm_obs" else "")
        asks = METHODS[method].ratio is not None  # plain training has neither a ratio nor a power of a weight
        cells = (ratio, f"{alpha:g}") if asks else ("", "")
        lines.append(row(label, *cells, len(runs), *texts(runs, MEASURES)))
    training = given_up["training"]
    said = (
        f"{training['steps']:,} steps at a constant learning rate of {training['lr']:g}, sigma_data "
        f"{training['sigma_data']:g}, log sigma around {training['noise_mean']:g} with a deviation of "
        f"{training['noise_std']:g}, {training['sampling_steps']} levels of the sampler"
    )
    return "\n".join([f"The training: {said}.", "", *lines])
