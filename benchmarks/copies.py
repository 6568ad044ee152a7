"""How far the samples of each group are from their nearest training image, beside real images that no method has seen.

    python benchmarks/copies.py digits-colour-90

A row for each group of each finished run of notebook 05 on these settings, from the first samples of its record:
a rare group may be copies while the others are not. `group_nearest` in newer records is the same of all samples.
The record is benchmarks/results/copies.json; rows that are there are not made again.
"""

import numpy as np
from rows import as_they_are, fill_for_settings

from tiwlib import plots, runs
from tiwlib.measures import distances, judges
from tiwlib.measures.samples import probabilities
from tiwlib.runs.experiment import NOTEBOOK, of_record

NAME = "copies"


def asked(settings: list[str], trained: list[dict]) -> list[dict]:
    """The runs on these settings, each with its own mixture and the weight as it is."""
    return [{"run": record["run"]} for record in as_they_are(settings, trained)]


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
    fill_for_settings(NAME, __doc__, asked, rows_of, arguments)


if __name__ == "__main__":
    main()
