"""Two terms that may be added to the plain discriminator's loss, tried on splits that no table shows.

    python benchmarks/ratio_terms.py two_d     the 2-D example: error of the correction against the exact ratio
    python benchmarks/ratio_terms.py digits    digits-lt: losses, and what the weights leave of the bias

sobolev: E sigma^2 ||grad log r||^2, a penalty of steep ratios in the units of the correction. denoising: the gradient
must denoise too (Chao et al. 2022, arXiv 2203.14206). With the denoiser D of all observed samples, of which a share
pi are reference samples, a reference sample is denoised by D + sigma^2 grad log w and a biased one by
D + sigma^2 grad log (w / r), where w = r / (pi r + 1 - pi): E ||(that - x0) / sigma||^2. Both are means over pixels.

The rule, set before the tries: a term is kept in the library if its best try beats the best without a term on both
problems, over the validation splits: on points in the error of the correction, on digits in the total variation after
weighting, each with a paired 95 % interval below 0.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import estimators
import machine
import numpy as np
import torch
from rows import fill, seeds_of
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tiwlib.closed_form import ratio_errors
from tiwlib.data.problems import Problem, gmm
from tiwlib.estimators import heldout
from tiwlib.estimators.plain import PlainConfig
from tiwlib.gaussians import EXACT_RATIO
from tiwlib.networks import DenoiserNet, seeded
from tiwlib.noise import expand
from tiwlib.objectives import log_weight
from tiwlib.ratio import FittedRatio, noisy_batch, split_off

LENGTHS = (150, 600)  # steps; 150 are the plain ratio's
FACTORS = {"none": (0.0,), "sobolev": (0.03, 0.3), "denoising": (0.03, 0.3)}  # of the term in the loss
SEEDS = "100-103"


def sobolev(log_r: Tensor, gradient: Tensor, sigma: Tensor, **_) -> Tensor:
    """sigma^2 ||grad log r||^2 of each sample, the mean over pixels: (B,)."""
    return (expand(sigma, gradient) * gradient).square().flatten(1).mean(1)


def denoising(
    log_r: Tensor,
    gradient: Tensor,
    sigma: Tensor,
    *,
    x: Tensor,
    x0: Tensor,
    label: Tensor,
    base: DenoiserNet,
    observed_fraction: float,
) -> Tensor:
    """||(D + sigma^2 grad log (w or w / r) - x0) / sigma||^2 of each sample, the mean over pixels: (B,)."""
    w_of_r = (
        log_weight(log_r, observed_fraction) - log_r
    ).exp()  # w / r, whose gradient in log r is w's minus 1
    slope = (1 - observed_fraction) * w_of_r - (
        1 - label
    )  # of log w for a reference sample, of log (w / r) else
    with torch.no_grad():
        residual = (base(x, sigma) - x0) / expand(sigma, x0)
    return (residual + expand(sigma * slope, gradient) * gradient).square().flatten(1).mean(1)


def fit(
    problem: Problem, term: Callable[..., Tensor] | None, factor: float, steps: int, seed: int
) -> FittedRatio:
    """The plain ratio with factor times the term in its loss; without a term it is that of ratio.fit."""
    config, rng = PlainConfig(steps=steps), np.random.default_rng(seed)
    network = seeded(problem.ratio_network, config.dropout, seed=seed)
    sets = [part[torch.arange(len(part))] for part in (problem.biased, problem.reference)]
    held = tuple(split_off(len(part), config.holdout, rng) for part in sets)
    train = [
        part[torch.from_numpy(np.setdiff1d(np.arange(len(part)), out))]
        for part, out in zip(sets, held, strict=True)
    ]
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    half, levels = config.batch_size // 2, problem.noise_distribution
    label = (torch.arange(2 * half) >= half).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        noisy_batch(
            *sets, held, config.heldout_draws // 2, levels, "cpu"
        )  # ratio.fit draws its held-out samples here
        for _ in range(steps):
            x0 = torch.cat([part[torch.randint(len(part), (half,))] for part in train])
            sigma = levels.sample(2 * half)
            x = (x0 + expand(sigma, x0) * torch.randn_like(x0)).requires_grad_(term is not None)
            log_r = network.log_ratio(x, sigma)
            loss = binary_cross_entropy_with_logits(log_r, label)
            if term is not None:
                (gradient,) = torch.autograd.grad(log_r.sum(), x, create_graph=True)
                loss = loss + factor * term(log_r, gradient, sigma, x=x, x0=x0, label=label).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cosine.step()
    network.eval()
    judged = heldout.judged(network, sets, held, config.heldout_draws, levels, seed=seed)
    return heldout.fitted(network, judged)


def fitted(
    problem: Problem, base: DenoiserNet, term: str, factor: float, steps: int, seed: int
) -> FittedRatio:
    n = len(problem.biased) + len(problem.reference)
    terms = {
        "none": None,
        "sobolev": sobolev,
        "denoising": partial(denoising, base=base, observed_fraction=len(problem.reference) / n),
    }
    return fit(problem, terms[term], factor, steps, seed)


def two_d(term: str, factor: float, steps: int, seed: int, n_reference: int) -> list[dict]:
    problem = gmm(seed, n=2000, n_reference=n_reference, pair=EXACT_RATIO)
    base = estimators.base_of(problem, "features", seed, steps=500)
    ratio = fitted(problem, base, term, factor, steps, seed)
    errors = ratio_errors(ratio, EXACT_RATIO, n=2000, times=25)
    means = {f"{key}_error": float(errors[key].mean()) for key in ("ratio", "score")}
    return [means | {"heldout_loss": ratio.heldout_loss}]


def digits(term: str, factor: float, steps: int, seed: int) -> list[dict]:
    problem = estimators.problem_of("digits-lt", seed)
    base = estimators.base_of(problem, "features", seed, steps=estimators.BASE_STEPS)
    return [estimators.judged(fitted(problem, base, term, factor, steps, seed), problem)]


MAKE = {"two_d": two_d, "digits": digits}
TRIES = [
    {"term": term, "factor": factor, "steps": steps}
    for term, factors in FACTORS.items()
    for factor in factors
    for steps in LENGTHS
]
SIZES = {"two_d": [{"n_reference": n} for n in (25, 100)], "digits": [{}]}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=MAKE)
    parser.add_argument("--seeds", default=SEEDS, help="100-103 or 100,101")
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the rows")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    asked = [
        {"seed": seed, **size, **attempt}
        for seed in seeds_of(options.seeds)
        for size in SIZES[options.part]
        for attempt in TRIES
    ]
    fill(options.out / f"ratio-terms-{options.part.replace('_', '-')}.json", asked, MAKE[options.part])


if __name__ == "__main__":
    main()
