"""What decides how good the samples of plain training are, and whether they keep their data's shares.

    python benchmarks/training_choices.py digits-lt

Plain training, DSM(obs), on a seed that no table of methods shows. Each row differs from the first of its setting in
one choice: the length, the learning rate, the distribution of the noise levels, the scale of the data, the average of
the weights, the sampler's levels. Two to six minutes of one thread a training; a stopped call goes on where it was.
"""

import argparse
import functools
from dataclasses import replace
from pathlib import Path

import machine
import numpy as np
import rows
import torch

from tiwlib import runs
from tiwlib.data import bias
from tiwlib.data.problems import of_images
from tiwlib.measures.distances import to_uint8
from tiwlib.measures.shares import total_variation
from tiwlib.noise import LogNormal
from tiwlib.runs import guard
from tiwlib.runs.config import ExperimentConfig
from tiwlib.runs.experiment import Experiment
from tiwlib.runs.measured import report
from tiwlib.training import TrainingConfig

NAME = "training-choices"
SEED = 100
MEASURES = ("precision", "recall", "unsure", "nearest", "total_variation", "frechet")
SAMPLERS = (18, 40)  # levels of the sampler, of which one training serves all
FIRST = {
    "steps": 2000,
    "batch_size": 128,
    "lr": 4e-3,
    "lr_decay": True,
    "noise_mean": -0.4,
    "noise_std": 1.0,
    "sigma_data": 0.75,
    "ema_half_life": None,
}
OTHERS = (
    {"steps": 1000},
    {"steps": 1000, "sigma_data": 0.5, "noise_mean": -1.2, "noise_std": 1.2},
    {"steps": 1000, "sigma_data": 0.5, "noise_mean": -1.2, "noise_std": 1.2, "lr": 1e-3, "lr_decay": False},
    {"sigma_data": 0.5},
    {"steps": 1000, "sigma_data": 0.5},
    {"steps": 1000, "ema_half_life": 1.0},
    {"steps": 4000, "batch_size": 32},
)


def asked(settings: list[str]) -> list[dict]:
    """What has a row for each of SAMPLERS, in the order in which it is made."""
    return [{"setting": setting, **FIRST, **other} for setting in settings for other in ({}, *OTHERS)]


def trained(
    root: str, *, setting: str, sigma_data: float, noise_mean: float, noise_std: float, **training
) -> list:
    """The rows of one training: what its samples measure, for each of SAMPLERS."""
    images = bias.load(setting, root, SEED)
    problem = of_images(images, sigma_data, LogNormal(noise_mean, noise_std))
    config = ExperimentConfig(method="dsm_obs", seed=SEED, training=TrainingConfig(**training))
    experiment = Experiment(problem, config)
    denoiser = experiment.denoiser()
    for _ in experiment.train(denoiser):
        pass
    batches = guard.batch_shares(setting, experiment.reference_fraction)
    made = []
    for levels in SAMPLERS:
        experiment.config = replace(config, sampling_steps=levels)
        measures = report(experiment, to_uint8(experiment.sample(denoiser))).measures
        row = {name: measures[name] for name in MEASURES}
        row["from_batches"] = total_variation(np.array(measures["group_shares"]), batches)
        made.append({"seed": SEED, "sampling_steps": levels, **row})
    return made


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="+", help="names from `python -m tiwlib.data list`")
    parser.add_argument("--root", default=str(runs.PROJECT / "data"), help="where the data are")
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the record")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    rows.fill(options.out / f"{NAME}.json", asked(options.settings), functools.partial(trained, options.root))


if __name__ == "__main__":
    main()
