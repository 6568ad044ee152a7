"""One run: its parameters, its cache, its record.

record = runs.start("05_train", run, params)   results/05_train/<run>/, written whole by record.finish(metrics)
runs.finished("05_train")                      all finished records of a notebook
"""

from tiwlib.runs.cache import PROJECT, checkpoints, digest, sha256, write_json
from tiwlib.runs.parameters import declared, defaults, notebooks, parameters
from tiwlib.runs.record import (
    Run,
    alone,
    changed,
    checked_name,
    differences,
    finished,
    holds,
    read_record,
    results_root,
    start,
)

__all__ = [
    "PROJECT",
    "Run",
    "alone",
    "changed",
    "checked_name",
    "checkpoints",
    "declared",
    "defaults",
    "differences",
    "digest",
    "finished",
    "holds",
    "notebooks",
    "parameters",
    "read_record",
    "results_root",
    "sha256",
    "start",
    "write_json",
]
