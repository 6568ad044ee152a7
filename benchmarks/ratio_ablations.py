"""What the ratio's quality does to the result, where the correction is needed, and whether an ensemble pays.

    python benchmarks/ratio_ablations.py [--parts quality ...]

In the 2-D example everything but the learned ratio is exact, unless a part trains a denoiser. The rows are in
benchmarks/results/ratio-ablations.json; notebook 03 shows them. Rows that are there are not made again.
"""

import argparse
from functools import cache, partial
from pathlib import Path

import machine
import torch
from rows import fill, seeds_of

from tiwlib import batches, gaussians, ratio, runs, training
from tiwlib.closed_form import minimiser, ratio_errors, score_error
from tiwlib.estimators.altered import Above
from tiwlib.estimators.cross_fitting import cross_fit, cross_fitted
from tiwlib.gaussians import EXACT_RATIO, P_DATA
from tiwlib.measures import two_d, weights
from tiwlib.networks import point_denoiser, point_ratio, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import tiw_dsm
from tiwlib.runs.experiment import NOTEBOOK, from_parameters
from tiwlib.runs.measured import measured
from tiwlib.training import TrainingConfig

N_BIASED, FOLDS = 1000, 5  # biased points of the 2-D example; members of an ensemble
BASE = {"length": 400, "reference": 100, "decay": 0.3}  # steps, reference points, weight decay
VARIED = {"length": (50, 150, 1200), "reference": (25, 50, 400), "decay": (0.01, 3.0)}  # one at a time
THRESHOLDS = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0)  # sigma at which and below which nothing is corrected
DIGITS_THRESHOLD = 0.3
NOISE = LogNormal.for_data(gaussians.SIGMA_DATA)
sample = partial(two_d.drawn, n=2000, steps=18, dtype=torch.float32)


def fit(pair, seed, member=0, held=None, steps=BASE["length"], decay=BASE["decay"]):
    """A ratio of the 2-D example; another member has other initial weights."""
    network = seeded(point_ratio, 2, gaussians.SIGMA_DATA, seed=seed + 1000 * member)
    options = {"steps": steps, "weight_decay": decay, "seed": seed, "held": held, "evaluations": 1}
    return ratio.fit(network, *pair, NOISE, **options)


def share_of(ratio, seed: int) -> float:
    """Minority share that the minimiser of TIW-DSM draws with this ratio: everything else is exact."""
    return gaussians.minority_share(sample(minimiser("tiw_dsm", EXACT_RATIO, 0.5, ratio=ratio), seed=seed))


@cache
def exact_share(seed: int) -> float:
    """What the exact ratio draws from the same noise: 0.5, up to the chance of the draw."""
    return share_of(EXACT_RATIO, seed)


def shares(share: float, seed: int) -> dict:
    """A minority share, and how far it is from the exact ratio's."""
    return {"share": share, "share_error": abs(share - exact_share(seed))}


def judged(fitted, seed: int) -> dict:
    """Errors of r and of sigma grad log r along VP time, and what the minimiser draws with it."""
    errors = ratio_errors(fitted, EXACT_RATIO, n=2000, times=20)
    means = {f"{name}_error": float(errors[name].mean()) for name in ("ratio", "score")}
    return means | shares(share_of(fitted, seed), seed)


def crossed(pair, seed: int):
    """One ratio for each fold that it has not seen; asked at once they are the ensemble, the mean of their logits."""
    return cross_fit(partial(fit, pair, seed), *pair, folds=FOLDS, seed=seed)


def tiw_loss(ratio, folds=None):
    """TIW-DSM's loss on half-and-half batches; with folds each sample asks the network of its fold."""
    if folds is not None:
        return cross_fitted(tiw_dsm, ratio, 0.5)
    return partial(tiw_dsm, ratio=ratio, reference_fraction=0.5)


# ---------------------------------------------------------------- parts, one row a variant


def quality(seed: int, varied: str, value: float | None) -> list[dict]:
    """The ratio and the result with one thing varied; `base` varies nothing."""
    cell = BASE if varied == "base" else BASE | {varied: value}
    pair = gaussians.draw_pair(N_BIASED, cell["reference"], seed)
    fitted = fit(pair, seed, steps=cell["length"], decay=cell["decay"])
    gap = weights.calibration_error(fitted.heldout)
    return [{**cell, "heldout_loss": fitted.heldout_loss, "calibration": gap, **judged(fitted, seed)}]


def threshold(seed: int) -> list[dict]:
    """Correction above a noise level alone, with the exact and with a learned ratio."""
    learned = fit(gaussians.draw_pair(N_BIASED, BASE["reference"], seed), seed)
    rows = []
    for level in THRESHOLDS:
        for name, which in (("exact", EXACT_RATIO), ("learned", learned)):
            above = Above(which, level)
            denoiser = minimiser("tiw_dsm", EXACT_RATIO, 0.5, ratio=above)
            error = score_error(denoiser, P_DATA, n=1000, dtype=torch.float32)
            row = {"variant": name, "threshold": level, "corrected_score_error": error}
            rows.append(row | shares(share_of(above, seed), seed))
    return rows


def ensemble(seed: int, reference: int) -> list[dict]:
    """One ratio beside an ensemble of five."""
    pair = gaussians.draw_pair(N_BIASED, reference, seed)
    ratios = {"plain": fit(pair, seed), "ensemble": crossed(pair, seed)}
    return [{"variant": name, **judged(which, seed)} for name, which in ratios.items()]


def ensemble_trained(seed: int) -> list[dict]:
    """Denoisers trained with one ratio, with the ensemble, and with cross-fitted ratios."""
    pair = gaussians.draw_pair(N_BIASED, BASE["reference"], seed)
    plain, several = fit(pair, seed), crossed(pair, seed)
    ways = {"plain": (plain, None), "ensemble": (several, None), "cross_fitted": (several, several.folds)}
    config = TrainingConfig(steps=400, batch_size=256, lr=2e-3, ema_half_life=50.0)
    rows = []
    for name, (which, folds) in ways.items():
        denoiser = seeded(point_denoiser, 2, gaussians.SIGMA_DATA, seed=seed)
        observed = batches.Observed(*pair, 0.5, folds)
        for _ in training.train(denoiser, tiw_loss(which, folds), observed, NOISE, config, seed=seed):
            pass
        share = gaussians.minority_share(sample(denoiser, seed=seed))
        rows.append({"variant": name, **shares(share, seed)})
    return rows


def digits_ratios(seed: int):
    """The experiment of notebook 05 as it stands, one ratio and five cross-fitted ones of a split of digits-lt."""
    asked = {"setting": "digits-lt", "method": "tiw_dsm", "seed": seed, "device": "cpu", "run": ""}
    experiment = from_parameters(runs.defaults(NOTEBOOK) | asked)
    experiment.folder = None
    problem = experiment.problem
    several = cross_fit(experiment.ratio, problem.biased, problem.reference, folds=FOLDS, seed=seed)
    return experiment, experiment.ratio(), several


def digits(seed: int) -> list[dict]:
    """One ratio beside an ensemble on images that are in neither set."""
    experiment, plain, several = digits_ratios(seed)
    images, noise = experiment.problem.images, experiment.problem.noise_distribution
    return [
        {
            "variant": name,
            "fresh_loss": weights.fresh_loss(which, images, noise),
            "heldout_loss": which.heldout_loss,
            "variation_after_weighting": weights.variation_after_weighting(which, images),
        }
        for name, which in (("plain", plain), ("ensemble", several))
    ]


def digits_trained(seed: int) -> list[dict]:
    """Denoisers of digits: one ratio, the ensemble, and a correction above a noise level alone.

    Trained as the run of notebook 05 that a row names, so they stand in its table.
    """
    experiment, plain, several = digits_ratios(seed)
    ways = {"plain": plain, "ensemble": several, "above_0_3": Above(plain, DIGITS_THRESHOLD)}
    rows = []
    for name, which in ways.items():
        drawn = measured(experiment, experiment.trained(plain, loss=tiw_loss(which)))
        names = ("total_variation", "frechet", "precision", "recall", "unsure", "nearest")
        rows.append(
            {"variant": name, "run": experiment.name, **{measure: drawn[measure] for measure in names}}
        )
    return rows


PARTS = {
    part.__name__: part for part in (quality, threshold, ensemble, ensemble_trained, digits, digits_trained)
}
CELLS = [{"varied": "base", "value": None}]
CELLS += [{"varied": name, "value": value} for name, values in VARIED.items() for value in values]
ASKED = {  # seeds, and what else each row of a part is asked with
    "quality": (range(5), CELLS),
    "threshold": (range(5), [{}]),
    "ensemble": (range(5), [{"reference": 25}, {"reference": 100}]),
    "ensemble_trained": (range(4), [{}]),
    "digits": (range(3), [{}]),
    "digits_trained": (range(3), [{}]),
}


def make(part: str, **given) -> list[dict]:
    return PARTS[part](**given)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", help="0-4 or 0,3,7; default: those of the committed rows")
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the rows")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    asked = []
    for part in options.parts:
        seeds, cells = ASKED[part]
        seeds = seeds_of(options.seeds) if options.seeds else seeds
        asked += [{"part": part, "seed": seed, **cell} for seed in seeds for cell in cells]
    fill(options.out / "ratio-ablations.json", asked, make)


if __name__ == "__main__":
    main()
