"""A benchmark of many rows as one JSON file, which a stopped benchmark goes on filling."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import machine
import torch

from tiwlib.runs import write_json


def fill(path: Path, asked: Iterable[dict], make: Callable[..., list[dict]]) -> list[dict]:
    """The rows of make(**given) for each `given` of `asked`, and what was in the file before; written after each.

    A row is `given`, what `make` says of it, and the chip, the commit and the day it was measured with. What has a row
    already is not made again.
    """
    chip = machine.chip(torch.device("cpu"))
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    for given in asked:
        if any(given.items() <= row.items() for row in rows):
            continue
        rows += [given | row | {"chip": chip, **machine.provenance()} for row in make(**given)]
        write_json(path, {"rows": rows})
        print(f"{path.stem}: {given}", flush=True)
    return rows


def seeds_of(text: str) -> list[int]:
    """Seeds as the command line names them: "0-4" or "0,3,7"."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if last else [int(part) for part in text.split(",")]
