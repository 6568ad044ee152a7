"""How much of the bias each method's ratio leaves in the mean of its samples, before a denoiser is trained.

    python benchmarks/bias_left.py digits-lt digits-colour-90

A row for each finished TIW-DSM and IW-DSM run of these settings and each noise level: a ratio that the run has left in
the cache is taken from there, another one is fitted again. tiwlib/measures/bias_left.py says what is measured.
The record is benchmarks/results/bias-left.json; rows that are there are not made again.
"""

from functools import lru_cache

import numpy as np
from rows import as_they_are, fill_for_settings

from tiwlib import runs
from tiwlib.measures.bias_left import bias_in_samples, bias_left
from tiwlib.objectives import Ratio
from tiwlib.runs.experiment import NOTEBOOK, Experiment, of_record

NAME = "bias-left"
LEVELS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # sigma; the groups of both settings are decided among these


def asked(settings: list[str], trained: list[dict]) -> list[dict]:
    """A run and a level for each row, by seed: runs without a power of the weight or a mixture of their own.

    IW-DSM asks the ratio of clean images alone, so it has one row a run.
    """
    weighted = [r for r in as_they_are(settings, trained) if r["params"]["method"] in ("tiw_dsm", "iw_dsm")]
    return [
        {"run": record["run"], "level": level}
        for record in weighted
        for level in (LEVELS if record["params"]["method"] == "tiw_dsm" else LEVELS[:1])
    ]


@lru_cache(maxsize=1)
def finished(run: str) -> tuple[Experiment, Ratio, np.ndarray]:
    """A finished run's experiment, its ratio, from the cache or fitted again, and the group shares of its samples."""
    record = runs.read_record(runs.results_root() / NOTEBOOK / run)
    experiment = of_record(record)
    return experiment, experiment.ratio(), np.array(record["metrics"]["group_shares"])


def row(run: str, level: float) -> list[dict]:
    """What a run's ratio leaves of the bias at one level, and what its samples have."""
    experiment, ratio, shares = finished(run)
    problem, config, pi = experiment.problem, experiment.config, experiment.reference_fraction
    left = bias_left(ratio, problem.images, level, pi) | {
        "samples": bias_in_samples(shares, problem.images, pi)
    }
    about = {
        "setting": problem.name,
        "method": config.method,
        "ratio": config.ratio_name,
        "seed": config.seed,
    }
    return [about | left]


def main(arguments: list[str] | None = None) -> None:
    fill_for_settings(NAME, __doc__, asked, row, arguments)


if __name__ == "__main__":
    main()
