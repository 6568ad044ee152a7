"""TIW-DSM beside IW-DSM on one and the same ratio, in the 2-D example: bias, or variance of the gradient?

    python benchmarks/same_ratio.py noise     variance of the gradient at the minimiser, the ratio exact, by noise level
    python benchmarks/same_ratio.py trained   error of denoisers trained on endless samples, the ratio exact
    python benchmarks/same_ratio.py bias      how far the minimisers are from the truth and apart, the ratio estimated

With the exact ratio all three methods have one minimiser. Each part is a file
benchmarks/results/same-ratio-<part>.json; rows that are there are not made again.
"""

import argparse
from pathlib import Path

import estimators
import machine
import torch
from rows import fill, seeds_of

from tiwlib import gaussians, training
from tiwlib.batches import Observed
from tiwlib.closed_form import EVALUATION_SEED, minimiser, score_error
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA, SIGMA_DATA
from tiwlib.measures.equal_ratios import gradient_noise, importance_minimiser
from tiwlib.networks import point_denoiser, seeded
from tiwlib.noise import LogNormal, vp_sigma
from tiwlib.objectives import METHODS, dsm
from tiwlib.training import TrainingConfig

WEIGHTED = ("iw_dsm", "tiw_dsm", "c_only")  # one minimiser, where the ratio is exact
FRACTIONS = (0.5, 0.0)  # the paper's share of reference samples in a batch, and none
LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # sigma; a mode has the width 1, the modes are 5.7 apart
REFERENCES = 50  # of the estimated ratios


def noise(seed: int, fraction: float, level: float, method: str) -> list[dict]:
    """Variance of the gradient over that of plain training on unbiased samples, the same noise and lambda."""
    batch, loss = P_BIAS.mix(P_DATA, fraction), METHODS[method].loss(EXACT_RATIO, fraction)
    of_method = gradient_noise(loss, minimiser(method, EXACT_RATIO, fraction), batch, level, seed=seed)
    return [{"noise": of_method / gradient_noise(dsm, P_DATA, P_DATA, level, seed=seed)}]


def trained(seed: int, fraction: float, method: str) -> list[dict]:
    """E ||(D - D*) / sigma||^2 of a trained denoiser, averaged over VP time: all of it is optimisation."""
    sets = gaussians.draw_pair(200_000, 200_000, seed)
    denoiser = seeded(point_denoiser, 2, SIGMA_DATA, seed=seed)
    loss = METHODS[method].loss(EXACT_RATIO, fraction)
    config = TrainingConfig(steps=600, batch_size=256, lr=2e-3)
    levels = LogNormal.for_data(SIGMA_DATA)
    for _ in training.train(denoiser, loss, Observed(*sets, fraction), levels, config, seed=seed):
        pass
    return [{"score_error": score_error(denoiser.eval(), P_DATA, dtype=torch.float32)}]


def bias(seed: int, estimator: str) -> list[dict]:
    """E ||(D - D*) / sigma||^2 of both minimisers on one estimated ratio, and of their difference, over VP time."""
    ratio, _ = estimators.in_two_d(estimator, seed, REFERENCES, "shares")
    batch = P_BIAS.mix(P_DATA, 0.5)
    iw, tiw = importance_minimiser(ratio, batch, 0.5), minimiser("tiw_dsm", EXACT_RATIO, 0.5, ratio=ratio)
    generator, total = torch.Generator().manual_seed(EVALUATION_SEED), torch.zeros(3)
    times = (torch.arange(10) + 0.5) / 10  # midpoints
    for level in vp_sigma(times):
        x0, sigma = P_DATA.sample(100, generator), level.expand(100)
        x = x0 + level * torch.randn(x0.shape, generator=generator)
        a, b, exact = (denoiser(x, sigma) for denoiser in (iw, tiw, P_DATA))
        gaps = torch.stack([a - exact, b - exact, a - b]) / level  # (3, 100, 2)
        total += gaps.square().sum(2).mean(1) / len(times)
    return [dict(zip(("iw_error", "tiw_error", "apart"), total.tolist(), strict=True))]


MAKE = {"noise": noise, "trained": trained, "bias": bias}
SEEDS = {"noise": "0-7", "trained": "0-7", "bias": "0-4"}
CELLS = {
    "noise": [{"fraction": f, "level": s, "method": m} for f in FRACTIONS for s in LEVELS for m in WEIGHTED],
    "trained": [{"fraction": f, "method": m} for f in FRACTIONS for m in WEIGHTED],
    "bias": [{"estimator": name} for name in estimators.ESTIMATORS],
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=MAKE)
    parser.add_argument("--seeds", help="0-4 or 0,3,7; default: those of the committed rows")
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the rows")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    seeds = seeds_of(options.seeds or SEEDS[options.part])
    asked = [{"seed": seed, **cell} for seed in seeds for cell in CELLS[options.part]]
    fill(options.out / f"same-ratio-{options.part}.json", asked, MAKE[options.part])


if __name__ == "__main__":
    main()
