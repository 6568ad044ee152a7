"""The estimators of the ratio beside each other, and beside an oracle that knows the groups.

    python benchmarks/estimators.py two_d OUT --seeds 0-9         errors against the exact ratio, by reference size
    python benchmarks/estimators.py ratios OUT --seeds 0-4        digits: losses, and what the weights do to the groups
    python benchmarks/estimators.py trained OUT --seeds 0-4       digits: trained denoisers and their samples

Every row is a file OUT/<part>/<row>.json; rows that are there are not made again. `--only NAME ...` takes some of the
estimators, `--methods tiw_dsm iw_dsm` says what is trained.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tiwlib import estimators, runs
from tiwlib.closed_form import EVALUATION_SEED, ratio_errors
from tiwlib.data import batch, bias
from tiwlib.data.problems import Problem, gmm, of_images
from tiwlib.estimators.clusters import NamedClusters, learn_names, with_outputs
from tiwlib.gaussians import EXACT_RATIO
from tiwlib.measures import weights
from tiwlib.measures.shares import total_variation
from tiwlib.networks import seeded
from tiwlib.noise import expand
from tiwlib.runs.config import ExperimentConfig
from tiwlib.runs.experiment import Experiment
from tiwlib.runs.measured import measured
from tiwlib.training import TrainingConfig

REFERENCE_SIZES = (25, 50, 100, 500)
LEVELS = (0.0, 0.3, 1.0, 2.0)  # sigma at which weights are looked at
ORACLE = "oracle"
OF_TWO_D = {"mixture": {"clusters": 2}}  # options that the 2-D example is known to need: it has two modes


@dataclass(frozen=True)
class One:
    """The ratio that is 1 everywhere."""

    def log_ratio(self, x, sigma):
        return 0 * x.flatten(1).sum(1)


# ---------------------------------------------------------------- the 2-D example


def two_d(name: str, seed: int, n_reference: int) -> dict:
    """Errors of r and of sigma grad log r, the mean along VP time, and the same of r = 1."""
    problem, base = gmm(seed, n=2000, minority=0.2, n_reference=n_reference), None
    if estimators.estimator(name).requires_base:
        plain = ExperimentConfig(method="dsm_obs", seed=seed, training=TrainingConfig(steps=500))
        base, _ = Experiment(problem, plain).trained_once()
    began = time.perf_counter()
    fitted = estimators.fit(name, problem, base, seed=seed, **OF_TWO_D.get(name, {}))
    seconds = time.perf_counter() - began
    errors, of_one = (ratio_errors(ratio, EXACT_RATIO, n=2000, times=25) for ratio in (fitted, One()))
    row = {key: float(errors[key].mean()) for key in ("ratio", "score")}
    row |= {f"{key}_of_one": float(of_one[key].mean()) for key in ("ratio", "score")}
    return row | {"heldout_loss": fitted.heldout_loss, "seconds": seconds}


# ---------------------------------------------------------------- digits


def problem_of(setting: str, seed: int) -> Problem:
    return of_images(bias.load(setting, runs.PROJECT / "data", seed=seed))


def oracle(problem: Problem, seed: int, steps: int = 1500) -> NamedClusters:
    """r from the true groups: a network learns them from all images but the references, rho is their true shares'."""
    data, split, shares = problem.images.data, problem.images.split, problem.images.shares()
    rows = np.setdiff1d(np.arange(len(data.images)), split.reference)
    network = seeded(lambda: with_outputs(problem.ratio_network(0.1), len(shares["biased"])), seed=seed)
    how = {"steps": steps, "batch_size": 128, "lr": 1e-3, "seed": seed}
    learn_names(
        network,
        batch(data.images, rows),
        torch.from_numpy(data.groups[rows]),
        problem.noise_distribution,
        **how,
    )
    biased, reference = (torch.from_numpy(shares[name]).float() for name in ("biased", "reference"))
    return NamedClusters(network, biased, (reference / biased).log())


def experiment_of(problem: Problem, name: str, method: str, seed: int) -> Experiment:
    return Experiment(problem, ExperimentConfig(method=method, estimator=name, seed=seed))


def ratio_of(problem: Problem, name: str, method: str, seed: int):
    return oracle(problem, seed) if name == ORACLE else experiment_of(problem, name, method, seed).ratio()


@torch.no_grad()
def variation_of_batches(ratio, problem: Problem, level: float, draws: int = 4) -> float:
    """Total variation from the reference shares of half-and-half batches of the training images, weighted by 2 d."""
    generator, images = torch.Generator().manual_seed(EVALUATION_SEED), problem.images
    total = np.zeros(len(images.data.group_names))
    for part in (images.split.biased, images.split.reference):
        x0 = batch(images.data.images, part)
        for _ in range(draws):
            sigma = torch.full((len(x0),), level)
            x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
            d = ratio.log_ratio(x, sigma).sigmoid().double().numpy()
            total += np.bincount(images.data.groups[part], d / len(x0), minlength=len(total))
    return total_variation(total / total.sum(), images.shares()["reference"])


def ratios(name: str, seed: int, setting: str) -> dict:
    """What is known of a ratio without a denoiser."""
    problem = problem_of(setting, seed)
    began = time.perf_counter()
    ratio = ratio_of(problem, name, "tiw_dsm", seed)
    row = {"seconds": time.perf_counter() - began}
    row["fresh_loss"] = weights.fresh_loss(ratio, problem.images, problem.noise_distribution)
    row["variation_after_weighting"] = weights.variation_after_weighting(ratio, problem.images)
    row["variation_of_batches"] = {f"{s:g}": variation_of_batches(ratio, problem, s) for s in LEVELS}
    if name != ORACLE:
        row["heldout_loss"] = ratio.heldout_loss
        row["calibration_error"] = weights.calibration_error(ratio.heldout)
    return row


def trained(name: str, method: str, seed: int, setting: str) -> dict:
    """What a denoiser trained with the ratio draws, in the vocabulary of measures.samples."""
    problem = problem_of(setting, seed)
    if name in ("dsm_ref", "dsm_obs"):
        experiment, ratio = Experiment(problem, ExperimentConfig(method=name, seed=seed)), None
    else:
        ratio = ratio_of(problem, name, method, seed)
        experiment = experiment_of(problem, "plain" if name == ORACLE else name, method, seed)
    began = time.perf_counter()
    denoiser = experiment.trained(ratio)
    return {"seconds": time.perf_counter() - began, **measured(experiment, denoiser)}


# ---------------------------------------------------------------- rows


def seeds_of(text: str) -> list[int]:
    """ "0-4" or "0,3,7"."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if last else [int(part) for part in text.split(",")]


def rows_of(options) -> list[tuple[str, dict]]:
    """Name and arguments of every row, seed by seed, so that what is done first is a whole comparison."""
    names = options.only or [*estimators.ESTIMATORS, *([ORACLE] if options.part != "two_d" else [])]
    rows = []
    for seed in seeds_of(options.seeds):
        for name in names:
            given = {"name": name, "seed": seed}
            if options.part == "two_d":
                rows += [(f"{name}-{n}-{seed}", given | {"n_reference": n}) for n in REFERENCE_SIZES]
            elif options.part == "ratios":
                rows.append((f"{options.setting}-{name}-{seed}", given | {"setting": options.setting}))
            else:
                for method in options.methods:
                    row = given | {"setting": options.setting, "method": method}
                    rows.append((f"{options.setting}-{name}-{method}-{seed}", row))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("two_d", "ratios", "trained"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--setting", default="digits-lt")
    parser.add_argument("--only", nargs="+", help="of the estimators, 'oracle', 'dsm_ref', 'dsm_obs'")
    parser.add_argument("--methods", nargs="+", default=["tiw_dsm"])
    options = parser.parse_args()
    make = {"two_d": two_d, "ratios": ratios, "trained": trained}[options.part]
    for row, given in rows_of(options):
        path = options.out / options.part / f"{row}.json"
        if not path.exists():
            content = given | make(**given)
            runs.write_json(path, content)
            short = {key: round(value, 3) for key, value in content.items() if isinstance(value, float)}
            print(json.dumps({"row": row} | short), flush=True)


if __name__ == "__main__":
    main()
