"""A benchmark of many rows as one JSON file, which a stopped benchmark goes on filling."""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import machine
import torch
from filelock import FileLock

from tiwlib.runs import finished, write_json
from tiwlib.runs.experiment import NOTEBOOK
from tiwlib.runs.tables import without_tuning


def fill(path: Path, asked: Iterable[dict], make: Callable[..., list[dict]]) -> list[dict]:
    """The rows of make(**given) for each `given` of `asked`, and what was in the file before; written after each.

    A row is `given`, what `make` says of it, and the chip, the commit and the day it was measured with. What has a row
    already is not made again. Several commands may fill one file.
    """
    chip = machine.chip(torch.device("cpu"))
    for given in asked:
        if any(given.items() <= row.items() for row in read(path)):
            continue
        made = [given | row | {"chip": chip, **machine.provenance()} for row in make(**given)]
        with FileLock(f"{path}.lock"):
            write_json(path, {"rows": read(path) + made})
        print(f"{path.stem}: {given}", flush=True)
    return read(path)


def read(path: Path) -> list[dict]:
    return json.loads(path.read_text())["rows"] if path.exists() else []


def drop_outdated(path: Path, denoisers: dict[str, str]) -> None:
    """Drop the rows of runs that were made again since. denoisers: the hash of each run's, as a row names it."""
    with FileLock(f"{path}.lock"):
        rows = read(path)
        kept = [row for row in rows if denoisers.get(row["run"], row["denoiser"]) == row["denoiser"]]
        if len(kept) < len(rows):
            write_json(path, {"rows": kept})


def seeds_of(text: str) -> list[int]:
    """Seeds as the command line names them: "0-4" or "0,3,7"."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if last else [int(part) for part in text.split(",")]


def as_they_are(settings: list[str], trained: list[dict]) -> list[dict]:
    """The records of these settings, by seed and name: with the mixture of their method and no power of the weight.

    Without those that have chosen a training length.
    """
    usual = {"alpha": 1.0, "reference_fraction": None}
    there = [r for r in without_tuning(trained) if r["params"]["setting"] in settings]
    chosen = [r for r in there if usual.items() <= r["params"].items()]
    return sorted(chosen, key=lambda r: (r["params"]["seed"], r["run"]))


def fill_for_settings(
    name: str, about: str, asked: Callable, make: Callable, arguments: list[str] | None
) -> None:
    """The command line of a benchmark of notebook 05's finished runs: settings, and the folder of its record.

    asked: (settings, records of finished runs) -> what has a row; make: as in `fill`. about: the script's docstring.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+", help="names from `python -m tiwlib.data list`")
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the record")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    path, trained = options.out / f"{name}.json", finished(NOTEBOOK)
    denoisers = {r["run"]: r["provenance"]["hashes"].get("denoiser") for r in trained}

    def of_run(run: str, **given) -> list[dict]:
        return [{"denoiser": denoisers[run]} | row for row in make(run, **given)]

    drop_outdated(path, denoisers)
    fill(path, asked(options.settings, trained), of_run)
