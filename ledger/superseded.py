"""What a setting showed with a training that was given up: the numbers stay beside those that took their place."""

import json

from ledger.image_rows import TITLES, texts
from ledger.markdown import header, row
from tiwlib.objectives import METHODS
from tiwlib.runs import PROJECT

MEASURES = ("total_variation", "frechet", "precision", "recall", "nearest")
KIND = ("method", "ratio", "alpha", "reference_fraction")


def first_training() -> str:
    """The long-tailed digits as they were first trained, a row for each kind of run."""
    record = json.loads((PROJECT / "benchmarks" / "results" / "digits-lt-first-training.json").read_text())
    kinds = {}
    for run in record["rows"]:
        kinds.setdefault(tuple(run[name] for name in KIND), []).append(run)
    lines = header("method", "ratio", "alpha", "seeds", *(TITLES[name] for name in MEASURES))
    for (method, ratio, alpha, fraction), runs in kinds.items():
        label = METHODS[method].label + (", half" if fraction == 0.5 and method == "dsm_obs" else "")
        asks = METHODS[method].ratio is not None  # plain training has neither a ratio nor a power of a weight
        cells = (ratio, f"{alpha:g}") if asks else ("", "")
        lines.append(row(label, *cells, len(runs), *texts(runs, MEASURES)))
    training = record["training"]
    said = (
        f"{training['steps']:,} steps at a constant learning rate of {training['lr']:g}, sigma_data "
        f"{training['sigma_data']:g}, log sigma around {training['noise_mean']:g} with a deviation of "
        f"{training['noise_std']:g}, {training['sampling_steps']} levels of the sampler"
    )
    return "\n".join([f"The training: {said}.", "", *lines])
