"""Which tables of notebook 05's records can be read: by the runs of their plain model."""

import numpy as np

from tiwlib.data import SOURCES, manifest
from tiwlib.data.settings import SETTINGS
from tiwlib.measures.classifier import split
from tiwlib.measures.readable import Readability, judge_error, of_plain_model
from tiwlib.runs.record import differences
from tiwlib.runs.tables import FREE, without_tuning

PLAIN = {"method": "dsm_obs", "reference_fraction": None, "alpha": 1.0}


def batch_shares(setting: str, reference_fraction: float) -> np.ndarray | None:
    """Group shares of the batches of a named setting, (G,); None where only the data tell them."""
    sets = manifest.shares(setting)
    return sets and reference_fraction * sets["reference"] + (1 - reference_fraction) * sets["biased"]


def least_ratio(setting: str) -> float | None:
    """The smallest value that a correct clean ratio of a named setting can have; None where only the data tell.

    Groups are drawn alike into both sets, so the ratio of an image that shows its group is that of the group's shares.
    """
    sets = manifest.shares(setting)
    return sets and float((sets["reference"] / sets["biased"]).min())


def plain_runs(params: dict, trained: list[dict]) -> list[dict]:
    """The runs of the plain model of the table that a run with these parameters stands in.

    They are of DSM(obs) with its own mixture, and differ in nothing but FREE and the power of the weight. trained:
    records of notebook 05, as from runs.finished.
    """
    return [
        r
        for r in without_tuning(trained)
        if all(r["params"].get(name) == value for name, value in PLAIN.items())
        and set(differences(params, r["params"])) <= {*FREE, "alpha"}
    ]


def readability(params: dict, trained: list[dict]) -> Readability:
    """Whether the table that a run with these parameters stands in can be read. trained: as in `plain_runs`."""
    rows = [r["metrics"] for r in plain_runs(params, trained)]
    setting = (
        rows[0]["setting"] if rows else ""
    )  # not the parameter: it means nothing beside a reader's own pair
    batches = [batch_shares(setting, row["reference_fraction"]) for row in rows]
    errors = [1.0] * len(rows)
    if setting in SETTINGS and (sizes := SOURCES[SETTINGS[setting].source].group_sizes):
        held_out = len(split(sum(sizes))[1])  # of the judge's own fit
        errors = [judge_error(row["classifier_accuracy"], held_out) for row in rows]
    return of_plain_model(rows, batches, errors)
