"""Samples of the 2-D example, and the share of the minority mode among them."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tiwlib import sampling
from tiwlib.closed_form import clean_ratio_error, ratio_errors
from tiwlib.gaussians import EXACT_RATIO, SIGMA_DATA, minority_share, nearer_mode
from tiwlib.measures import intervals
from tiwlib.noise import sampling_grid


def drawn(denoiser, n: int, *, steps: int = 40, seed: int = 0, dtype=torch.float64) -> Tensor:
    """n points (n, 2) by Heun. The same seed gives the same starting noise: two denoisers can be paired by point."""
    options = {"sigma_data": SIGMA_DATA, "steps": steps, "seed": seed, "batch_size": 20_000, "dtype": dtype}
    return sampling.sample(denoiser, n, (2,), **options)


def minority(x: Tensor) -> dict[str, float]:
    """Share of points (n, 2) nearer to the mode at (2, 2), with Wilson's binomial interval: share, low, high."""
    share, low, high = intervals.share_interval(nearer_mode(x).sum().item(), len(x))
    return {"share": share, "low": low, "high": high}


def errors_of(time_dependent, time_independent) -> pd.DataFrame:
    """Squared errors of two learned ratios along VP time: columns t, error, estimator, as `error_shares` takes them.

    The time-independent one is asked of clean samples, so its error is the same at every t.
    """
    at = ratio_errors(time_dependent, EXACT_RATIO)
    clean = clean_ratio_error(time_independent, EXACT_RATIO)
    of_both = {"time-dependent": at["ratio"], "time-independent": np.full(len(at["t"]), clean)}
    parts = [
        pd.DataFrame({"t": at["t"], "error": error, "estimator": name}) for name, error in of_both.items()
    ]
    return pd.concat(parts, ignore_index=True)


def error_shares(errors: pd.DataFrame) -> pd.DataFrame:
    """What is left of the time-independent ratio's error when a ratio knows the noise level; a row for each seed.

    errors: columns seed, t (midpoints of equal steps), error, estimator ("time-dependent", "time-independent"). Returns
    both errors integrated over t under their names, `share`, the quotient of the two, and `at_zero`, that of the first
    t, where there is hardly any noise.
    """
    by_time = errors.pivot(index="t", columns=["estimator", "seed"], values="error")
    integrated = by_time.mean().unstack("estimator")
    first = by_time.iloc[0].unstack("estimator")
    quotient = {
        name: part["time-dependent"] / part["time-independent"]
        for name, part in (("share", integrated), ("at_zero", first))
    }
    return integrated.assign(**quotient)


POINTS, STEPS = 2000, 80  # of `limit_share`: quantiles of the starting noise, and Heun's steps


def limit_share(denoiser) -> dict[str, float]:
    """The minority share that Heun's sampler reaches with endless samples: share, and low and high, its error.

    No chance is in it: the sampler starts at POINTS quantiles of its noise along the diagonal. That is all there is
    to draw where a denoiser, such as every minimiser with the exact ratio, moves points along the diagonal alone and
    never past each other; a learned one does not. low, high: one point more or less, and what half of the steps
    would change.
    """
    quantiles = torch.special.ndtri((torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS)
    start = quantiles[:, None] * torch.ones(2, dtype=torch.float64) / 2**0.5  # (POINTS, 2), on the diagonal

    @torch.no_grad()
    def share(steps: int) -> float:
        grid = sampling_grid(steps, SIGMA_DATA, dtype=torch.float64)
        return minority_share(sampling.heun(denoiser, grid[0] * start, grid))

    value = share(STEPS)
    error = abs(value - share(STEPS // 2)) + 1 / POINTS
    return {"share": value, "low": value - error, "high": value + error}
