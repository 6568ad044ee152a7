"""How far the samples of each group are from their nearest training image, beside real images that no method has seen.

    python benchmarks/copies.py digits-colour-90

A row for each group of each finished run of notebook 05 on these settings, from the first samples of its record:
a rare group may be copies while the others are not. `group_nearest` in newer records is the same of all samples.
The record is benchmarks/results/copies.json; rows that are there are not made again.
"""

import argparse
from pathlib import Path

import machine
import numpy as np
import torch
from rows import fill

from tiwlib import plots, runs
from tiwlib.measures import distances, judges
from tiwlib.measures.samples import probabilities
from tiwlib.runs.experiment import NOTEBOOK, of_record

NAME = "copies"


def asked(settings: list[str], trained: list[dict]) -> list[dict]:
    """The runs on these settings, each with its own mixture and the weight as it is."""
    usual = {"alpha": 1.0, "reference_fraction": None}
    chosen = [
        r for r in trained if r["params"]["setting"] in settings and usual.items() <= r["params"].items()
    ]
    return [{"run": r["run"]} for r in sorted(chosen, key=lambda r: (r["params"]["seed"], r["run"]))]


def rows_of(run: str) -> list[dict]:
    """The distances of one run's samples and of held-out images, group by group."""
    folder = runs.results_root() / NOTEBOOK / run
    experiment = of_record(runs.read_record(folder))
    config, images = experiment.config, experiment.problem.images
    data, seen = images.data, experiment.training_images()
    kept = plots.read_first(folder / "samples.png", data.images.shape[-1])
    judge, _ = judges.of_data(data)
    groups = probabilities(judge, kept).argmax(1)
    used = np.concatenate([images.split.biased, images.split.reference])
    unseen = np.setdiff1d(np.arange(len(data.images)), used)
    of_samples, _ = distances.nearest(kept, data.images[seen])
    of_data, _ = distances.nearest(data.images[unseen], data.images[seen])
    about = {"setting": experiment.problem.name, "method": config.method}
    about |= {"ratio": config.ratio_name, "seed": config.seed}
    made = []
    for g, name in enumerate(data.group_names):
        mine, real = of_samples[groups == g], of_data[data.groups[unseen] == g]
        counts = {"group": name, "samples": len(mine), "trained_on": int((data.groups[seen] == g).sum())}
        far = float(mine.mean()) if len(mine) else None
        of_real = float(real.mean())
        part = {"nearest": far, "nearest_of_data": of_real, "part": None if far is None else far / of_real}
        made.append(about | counts | part)
    return made


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="+", help="names from `python -m tiwlib.data list`")
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the record")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    fill(options.out / f"{NAME}.json", asked(options.settings, runs.finished(NOTEBOOK)), rows_of)


if __name__ == "__main__":
    main()
