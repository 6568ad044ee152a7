"""Measures of a denoiser of the 2-D example, in closed form or trained: the share it draws, its score's error."""

import numpy as np
import torch
from scipy import integrate
from torch import Tensor

from tiwlib import intervals, metrics, sampling
from tiwlib.gaussians import SIGMA_DATA, ExactRatio, GaussianMixture
from tiwlib.noise import expand, vp_sigma
from tiwlib.ratio import log_weight


def drawn(denoiser, n: int, *, steps: int = 40, seed: int = 0, dtype=torch.float64) -> Tensor:
    """n points (n, 2) by Heun. The same seed gives the same starting noise: two denoisers can be paired by point."""
    options = {"sigma_data": SIGMA_DATA, "steps": steps, "seed": seed, "batch_size": 20_000, "dtype": dtype}
    return sampling.sample(denoiser, n, (2,), **options)


def minority(x: Tensor) -> dict[str, float]:
    """Share of points (n, 2) nearer to the mode at (2, 2), with Wilson's binomial interval: share, low, high."""
    label = (x.sum(1) > 0).long().numpy()
    low, high = intervals.share_intervals(label, 2)[1]
    return {"share": float(label.mean()), "low": float(low), "high": float(high)}


def score_error(
    denoiser,
    p_data: GaussianMixture,
    *,
    n: int = 2000,
    times: int = 20,
    seed: int = metrics.EVALUATION_SEED,
    dtype=torch.float64,
) -> float:
    """E sigma^2 ||score_hat - score||^2 = E ||(D_hat - D) / sigma||^2 under p_data^sigma, averaged over VP time.

    The same points are used for every denoiser with the same seed. dtype: float32 where a network answers.
    """
    generator = torch.Generator().manual_seed(seed)
    x0 = p_data.sample(n, generator, dtype=dtype)
    total = 0.0
    for level in vp_sigma((torch.arange(times, dtype=dtype) + 0.5) / times):
        sigma = level.expand(n)
        x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator, dtype=dtype)
        difference = (denoiser(x, sigma) - p_data.denoised(x, sigma)) / level
        total += difference.square().sum(1).mean().item()
    return total / times


def tilted_share(exact: ExactRatio, reference_fraction: float, alpha: float) -> float:
    """Minority share of the clean density p_batch w^alpha, normalised: what importance weights to a power aim at.

    Both mixtures vary along the diagonal u = (x + y) / sqrt 2 alone, so it is a quotient of two integrals over u.
    """
    batch = exact.p_bias.mix(exact.p_data, reference_fraction)

    def density(u: np.ndarray) -> np.ndarray:
        x = (
            torch.as_tensor(u)[:, None] * torch.ones(2, dtype=torch.float64) / 2**0.5
        )  # (N, 2), on the diagonal
        zero = torch.zeros(len(x), dtype=torch.float64)
        log_w = log_weight(exact.log_ratio(x, zero), reference_fraction)
        return (batch.log_prob(x, zero) + alpha * log_w).exp().numpy()

    u = np.linspace(0, 12, 2001)  # the modes are at +-2.83 with standard deviation 1
    upper, lower = (integrate.simpson(density(sign * u), x=u) for sign in (1, -1))
    return float(upper / (upper + lower))
