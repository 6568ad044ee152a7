"""The estimators of the ratio beside each other, without a denoiser: what their weights and corrections are worth.

    python benchmarks/estimators.py two_d                   errors against the exact ratio, by reference size and bias
    python benchmarks/estimators.py digits                  losses, and what the weights do to groups, by reference size
    python benchmarks/estimators.py images                  the same on the other image problems; two are made of MNIST
    python benchmarks/estimators.py tuning --seeds 100-103  the tries of each estimator on splits that no table shows
    python benchmarks/estimators.py tuning_two_d            the same for the 2-D example, with 50 reference points
    python benchmarks/estimators.py base                    how long DSM(obs) is trained before its features are taken

Each part is a file benchmarks/results/estimators-<part>.json; rows that are there are not made again. Trained
denoisers are runs of notebook 05 with `-p ratio NAME` (workflow/estimators.yaml).
"""

import argparse
import math
import time
from pathlib import Path

import machine
import torch
from rows import fill, seeds_of

from tiwlib import estimators, runs
from tiwlib.closed_form import ratio_errors
from tiwlib.data import bias
from tiwlib.data.problems import Problem, gmm, of_images
from tiwlib.gaussians import TWO_D_PAIRS
from tiwlib.measures import weights
from tiwlib.measures.bias_left import weighted_batch
from tiwlib.measures.shares import total_variation
from tiwlib.noise import LogNormal
from tiwlib.ratio import FittedRatio
from tiwlib.runs.config import ExperimentConfig
from tiwlib.runs.experiment import Experiment
from tiwlib.training import TrainingConfig
from workflow import plan

ESTIMATORS = tuple(name for name in estimators.ESTIMATORS if name != "oracle")
REFERENCE_SIZES = (25, 50, 100, 500)
DIGITS = ("digits-lt", "digits-lt-5", "digits-lt-25", "digits-lt-50")
SWEEPS = {  # where the denoisers of a setting are trained: the ratio is fitted at their scale and noise levels
    "digits-colour-90": "colour.yaml",
    "mnist8-colour-90": "mnist8_colour.yaml",
    "mnist8-lt-5": "mnist8_lt.yaml",
}
BASE_STEPS = 400  # of DSM(obs) on digits, whose features some estimators stand on; 2,000 in notebook 05
LEVELS = (0.0, 0.3, 1.0, 2.0)  # sigma at which weights are looked at
ALMOST_CLEAN = LogNormal(math.log(0.002), 0.0)  # the last level of the sampler
OF_TWO_D = {"mixture": {"clusters": 2}}  # options that the 2-D example is known to need: it has two modes
# The held-out loss of networks is taken once, at the end: their weights are those of the last step.
ONCE = {name: {"evaluations": 1} for name in ("plain", "features")}
# The defaults before the tries, which the tries change. Four tries each, of which the first changes nothing. On digits
# posterior had more before this benchmark was written, and is not in it. The rule, set before the tries: the lowest
# mean total variation after weighting over the validation splits.
BEFORE = {
    "plain": {"steps": 150, "lr": 3e-4},
    "features": {"steps": 300, "dropout": 0.5, "width": 64},
    "mixture": {"clusters": 20, "prior": 2.0},
    "distilled": {"steps": 1000, "lr": 1e-3, "dropout": 0.0, "ridge": 0.03},
    "posterior": {"std": 1.0, "ridge": 0.03},
}
TRIES = {
    "features": ({}, {"dropout": 0.8}, {"width": 16}, {"steps": 100}),
    "mixture": ({}, {"clusters": 40}, {"clusters": 80}, {"clusters": 80, "prior": 0.5}),
    "distilled": ({}, {"steps": 300}, {"dropout": 0.5}, {"ridge": 0.1}),
}
# In the 2-D example, by the lowest mean error of the correction.
TRIES_TWO_D = {
    "plain": ({}, {"lr": 1e-3}, {"steps": 600, "lr": 1e-3}, {"steps": 1500, "lr": 1e-3}),
    "features": TRIES["features"],
    "distilled": ({}, {"steps": 300}, {"lr": 3e-3}, {"ridge": 0.1}),
    "posterior": ({}, {"std": 0.5}, {"std": 0.25}, {"ridge": 0.1}),
}
# DSM(obs) that `posterior` stands on. The rule, set before the tries: the lowest mean, over the validation splits of
# both settings, of the total variation that its weights leave on unseen images, over the biased set's.
FALLING = {"lr": 4e-3, "lr_decay": True}  # as notebook 05 trains denoisers
BASES = (
    {"steps": 400, **FALLING},
    {"steps": 150, **FALLING},
    {"steps": 1000, **FALLING},
    {"steps": 2000, **FALLING},
    {"steps": 400},
)
BASE_SETTINGS = ("digits-lt", "digits-colour-90")


def base_of(problem: Problem, name: str, seed: int, **training):
    """DSM(obs) on the problem's samples, from the cache or put there, where the estimator needs one."""
    if not estimators.estimator(name).requires_base:
        return None
    config = ExperimentConfig(method="dsm_obs", seed=seed, training=TrainingConfig(**training))
    return Experiment(problem, config).trained_once()[0]


# ---------------------------------------------------------------- the 2-D example


def in_two_d(
    estimator: str, seed: int, n_reference: int, bias: str, options: dict | None = None
) -> tuple[FittedRatio, float]:
    """A ratio of the 2-D example, and the seconds of its fit. bias: a name of gaussians.TWO_D_PAIRS."""
    options = OF_TWO_D.get(estimator, {}) if options is None else options
    problem = gmm(seed, n=2000, n_reference=n_reference, pair=TWO_D_PAIRS[bias])
    base = base_of(problem, estimator, seed, steps=500)
    began = time.perf_counter()
    fitted = estimators.fit(estimator, problem, base, seed=seed, **ONCE.get(estimator, {}), **options)
    return fitted, time.perf_counter() - began


def two_d(estimator: str, seed: int, n_reference: int, bias: str, options: dict | None = None) -> list[dict]:
    """Errors of r and of sigma grad log r, the mean along VP time."""
    fitted, seconds = in_two_d(estimator, seed, n_reference, bias, options)
    errors = ratio_errors(fitted, TWO_D_PAIRS[bias], n=2000, times=25)
    row = {f"{key}_error": float(errors[key].mean()) for key in ("ratio", "score")}
    return [row | {"heldout_loss": fitted.heldout_loss, "seconds": seconds}]


def tuning_two_d(estimator: str, seed: int, attempt: int) -> list[dict]:
    """One of the tries of an estimator on a validation seed of the 2-D example, 50 reference points."""
    options = TRIES_TWO_D[estimator][attempt]
    tried = BEFORE[estimator] | options
    return [{"options": options} | row for row in two_d(estimator, seed, 50, "shares", tried)]


# ---------------------------------------------------------------- images


def problem_of(setting: str, seed: int) -> Problem:
    """At EDM's scale and noise levels, at which the options were chosen."""
    return of_images(bias.load(setting, runs.PROJECT / "data", seed=seed))


def problem_as_trained(setting: str, seed: int) -> Problem:
    """At the scale and the noise levels at which notebook 05 is run."""
    params = runs.defaults("05_train")
    if setting in SWEEPS:
        planned = plan.load(runs.PROJECT / "workflow" / SWEEPS[setting]).runs
        params = next(run.params for run in planned if run.params["setting"] == setting)
    levels = LogNormal(params["noise_mean"], params["noise_std"])
    return of_images(bias.load(setting, runs.PROJECT / "data", seed=seed), params["sigma_data"], levels)


def megabytes(fitted) -> float:
    """What a ratio keeps in memory while a denoiser is trained on it."""
    return sum(t.numel() * t.element_size() for t in fitted.network.state_dict().values()) / 2**20


def judged(fitted, problem: Problem) -> dict:
    """What is known of a ratio on images without a denoiser."""
    row = {"fresh_loss": weights.fresh_loss(fitted, problem.images, problem.noise_distribution)}
    row["fresh_loss_without_noise"] = weights.fresh_loss(fitted, problem.images, ALMOST_CLEAN)
    row["variation_after_weighting"] = weights.variation_after_weighting(fitted, problem.images)
    fair = problem.images.shares()["reference"]
    for level in LEVELS:
        shares, _ = weighted_batch(fitted, problem.images, level, 0.5)  # half-and-half batches
        row[f"variation_of_batches_{level:g}".replace(".", "_")] = total_variation(shares, fair)
    return row | {
        "heldout_loss": fitted.heldout_loss,
        "calibration_error": weights.calibration_error(fitted.heldout),
    }


def on_images(
    problem: Problem, estimator: str, seed: int, training: dict | None = None, **options
) -> list[dict]:
    """The row of an estimator on one split. training: of the plain denoiser that it may need."""
    base = base_of(problem, estimator, seed, **(training or {"steps": BASE_STEPS}))
    began = time.perf_counter()
    fitted = estimators.fit(estimator, problem, base, seed=seed, **ONCE.get(estimator, {}), **options)
    row = {"n_reference": len(problem.reference), "seconds": time.perf_counter() - began}
    return [row | {"kept_mb": megabytes(fitted)} | judged(fitted, problem)]


def trained_on(estimator: str, seed: int, setting: str) -> list[dict]:
    """An estimator on one split of a setting whose denoisers notebook 05 trains."""
    return on_images(problem_as_trained(setting, seed), estimator, seed)


def tuning(estimator: str, seed: int, attempt: int) -> list[dict]:
    """One of the tries of an estimator on a validation split of digits-lt."""
    options = TRIES[estimator][attempt]
    tried = BEFORE[estimator] | options
    rows = on_images(problem_of("digits-lt", seed), estimator, seed, **tried)
    return [{"options": options} | row for row in rows]


def base(setting: str, seed: int, attempt: int) -> list[dict]:
    """The posterior ratio on one of BASES, on a validation split."""
    problem, training = problem_as_trained(setting, seed), BASES[attempt]
    shares = problem.images.shares()
    of_biased = {"variation_of_biased": total_variation(shares["biased"], shares["reference"])}
    return [
        {"training": training} | of_biased | row for row in on_images(problem, "posterior", seed, training)
    ]


# ---------------------------------------------------------------- rows

MAKE = {"two_d": two_d, "digits": trained_on, "images": trained_on}
MAKE |= {"tuning": tuning, "tuning_two_d": tuning_two_d, "base": base}
SEEDS = {"two_d": "0-9", "digits": "0-2", "images": "0-2"}
SEEDS |= dict.fromkeys(("tuning", "tuning_two_d", "base"), "100-103")


def asked(part: str, seeds: list[int], only: list[str]) -> list[dict]:
    """The arguments of every row, so that what is done first is a whole comparison."""
    names = (*ESTIMATORS, "oracle")
    if part == "two_d":
        cells = [(n, "shares") for n in REFERENCE_SIZES] + [(100, "within_modes")]
        rows = [
            {"estimator": name, "seed": seed, "n_reference": n, "bias": bias}
            for seed in seeds
            for n, bias in cells
            for name in ESTIMATORS
        ]
    elif part == "digits":
        rows = [{"estimator": e, "seed": seed, "setting": s} for seed in seeds for s in DIGITS for e in names]
    elif part == "images":
        rows = [{"estimator": e, "seed": seed, "setting": s} for s in SWEEPS for seed in seeds for e in names]
    elif part == "base":
        rows = [
            {"setting": setting, "seed": seed, "attempt": i}
            for seed in seeds
            for i in range(len(BASES))
            for setting in BASE_SETTINGS
        ]
    else:
        rows = [
            {"estimator": name, "seed": seed, "attempt": i}
            for seed in seeds
            for name, tries in (TRIES if part == "tuning" else TRIES_TWO_D).items()
            for i in range(len(tries))
        ]
    return [row for row in rows if not only or row.get("estimator") in only]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=MAKE)
    parser.add_argument("--seeds", help="0-4 or 0,3,7; default: those of the committed rows")
    parser.add_argument("--only", nargs="+", default=[], help="of the estimators")
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the rows")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    rows = asked(options.part, seeds_of(options.seeds or SEEDS[options.part]), options.only)
    fill(options.out / f"estimators-{options.part.replace('_', '-')}.json", rows, MAKE[options.part])


if __name__ == "__main__":
    main()
