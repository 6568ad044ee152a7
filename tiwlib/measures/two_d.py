"""Samples of the 2-D example, and the share of the minority mode among them."""

import torch
from torch import Tensor

from tiwlib import sampling
from tiwlib.gaussians import SIGMA_DATA
from tiwlib.measures import intervals


def drawn(denoiser, n: int, *, steps: int = 40, seed: int = 0, dtype=torch.float64) -> Tensor:
    """n points (n, 2) by Heun. The same seed gives the same starting noise: two denoisers can be paired by point."""
    options = {"sigma_data": SIGMA_DATA, "steps": steps, "seed": seed, "batch_size": 20_000, "dtype": dtype}
    return sampling.sample(denoiser, n, (2,), **options)


def minority(x: Tensor) -> dict[str, float]:
    """Share of points (n, 2) nearer to the mode at (2, 2), with Wilson's binomial interval: share, low, high."""
    label = (x.sum(1) > 0).long().numpy()
    low, high = intervals.share_intervals(label, 2)[1]
    return {"share": float(label.mean()), "low": float(low), "high": float(high)}
