"""The paper's objectives: a loss per sample, (B,), for a denoiser D(x; sigma) at x = x0 + sigma noise.

| paper               | here                        | shape, range                             |
|---------------------|-----------------------------|------------------------------------------|
| x_0, x_t            | x0, x = x0 + sigma noise    | (B, d) or (B, C, H, W)                   |
| t in [0, 1]         | sigma, noise.vp_sigma(t)    | (B,), at least 0                         |
| s_theta(x_t, t)     | (D(x; sigma) - x) / sigma^2 | shape of x                               |
| d_phi(x_t, t)       | sigmoid(log_ratio(x, sigma))| (B,), in (0, 1)                          |
| w_phi^t(x_t), eq. 9 | exp(log_ratio(x, sigma)), r | (B,), positive                           |
| lambda(t)           | noise.loss_weight(sigma)    | (B,), EDM's                              |
| p_bias, p_data      | the same                    | densities of the biased and unbiased set |
| D_bias, D_ref, D_obs| biased, reference, both     | sets of samples                          |

**The paper** trains the weighted methods on batches of which one half are reference samples. Their weight is the
ratio of p_data to the density of such a batch, w = 2 d (eq. 36-37).

**We generalise** to any share pi of reference samples, `reference_fraction` everywhere in this library:
w = r / (pi r + 1 - pi). At pi = 1/2 this is 2 d, at pi = 0 it is r. The power alpha of w is the paper's, which it
varies in an ablation; 1 is the method itself.

This file needs torch and noise.py, nothing else.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from tiwlib.noise import expand, loss_weight


class Ratio(Protocol):
    """A density ratio: learned, or exact as gaussians.ExactRatio."""

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r(x, sigma) = log p_data^sigma(x) - log p_bias^sigma(x): (B, ...), (B,) -> (B,)."""


class Denoiser(Protocol):
    """D(x; sigma): a network, or exact as gaussians.GaussianMixture. sigma_data: the data's standard deviation."""

    sigma_data: float

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """An estimate of E[x0 | x]: (B, ...), (B,) -> (B, ...)."""


def log_weight(log_ratio: Tensor, reference_fraction: float) -> Tensor:
    """log w = log r - log(pi r + 1 - pi), shape of log_ratio: p_data over the density the batch is drawn from.

    reference_fraction: pi in [0, 1], the share of reference samples in the batch; else a ValueError. pi = 1/2 is the
    paper's w = 2 d (eq. 36-37); pi = 0 gives w = r, pi = 1 gives w = 1.
    """
    pi = reference_fraction
    if not 0 <= pi <= 1:
        raise ValueError(f"reference_fraction={pi}: must lie in [0, 1]")
    log_pi, log_rest = (math.log(p) if p > 0 else -math.inf for p in (pi, 1 - pi))
    return log_ratio - torch.logaddexp(log_ratio + log_pi, torch.full_like(log_ratio, log_rest))


def weight_and_correction(
    ratio: Ratio, x: Tensor, sigma: Tensor, reference_fraction: float
) -> tuple[Tensor, Tensor]:
    """w(x, sigma) (B,) and grad_x log w(x, sigma) (B, ...), by one backward pass through the ratio.

    grad log w = grad log r (1 - pi) / (pi r + 1 - pi) comes out of differentiating log_weight; at pi = 1/2 it is
    grad log d. Both are constants to the caller: no gradient reaches the ratio network or x.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        log_w = log_weight(ratio.log_ratio(x, sigma), reference_fraction)  # (B,)
        (correction,) = torch.autograd.grad(log_w.sum(), x)  # (B, ...)
    return log_w.detach().exp(), correction


def squared_error(denoiser: Denoiser, x: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
    """lambda(sigma) ||D(x; sigma) - target||^2 / dim, shape (B,)."""
    error = (denoiser(x, sigma) - target).square().flatten(1).mean(1)  # (B,)
    return loss_weight(sigma, denoiser.sigma_data) * error


def dsm(denoiser: Denoiser, x0: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """DSM, denoising score matching: lambda ||D - x0||^2, shape (B,).

    Its minimiser is the score of the density that x0 is drawn from: DSM(ref) and DSM(obs) differ in that alone.
    """
    x = x0 + expand(sigma, x0) * noise
    return squared_error(denoiser, x, sigma, x0)


def iw_dsm(
    denoiser: Denoiser,
    x0: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    ratio: Ratio,
    reference_fraction: float,
    alpha: float = 1.0,
) -> Tensor:
    """IW-DSM, importance weights: lambda w(x0, 0)^alpha ||D - x0||^2, shape (B,).

    The ratio is time-independent: it is asked about the clean sample. The minimiser at alpha = 1 is the score of
    p_data^sigma.
    """
    log_w = log_weight(ratio.log_ratio(x0, sigma * 0), reference_fraction).detach()  # (B,)
    return (alpha * log_w).exp() * dsm(denoiser, x0, sigma, noise)


def tiw_dsm(
    denoiser: Denoiser,
    x0: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    ratio: Ratio,
    reference_fraction: float,
    alpha: float = 1.0,
    weight: bool = True,
    correction: bool = True,
) -> Tensor:
    """TIW-DSM: lambda w(x, sigma)^alpha ||D - (x0 + sigma^2 alpha grad_x log w(x, sigma))||^2, shape (B,).

    Theorem 1: at alpha = 1 it equals score matching on p_data up to a constant. At any alpha the minimiser is the
    score of p_batch^sigma w^alpha. weight=False leaves out the weight (the paper's C-only, the same minimiser);
    correction=False leaves the target x0 (its W-only, the minimiser of DSM on the same batches).
    """
    s = expand(sigma, x0)  # (B, 1, ..., 1)
    x = x0 + s * noise
    w, grad_log_w = weight_and_correction(ratio, x, sigma, reference_fraction)  # (B,), (B, ...)
    target = x0 + s**2 * alpha * grad_log_w if correction else x0
    loss = squared_error(denoiser, x, sigma, target)  # (B,)
    return w**alpha * loss if weight else loss


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to train: its objective, the ratio that the objective asks for, and the batches that it sees.

    ratio: None, "time_independent" or "time_dependent". reference_fraction: pi, one half for every method with a
    weight, as in the paper; None stands for D_obs as it is.
    """

    label: str
    objective: Callable[..., Tensor]
    ratio: str | None = None
    reference_fraction: float | None = None

    def fraction(self, asked: float | None = None) -> float | None:
        """The pi to train with: `asked` if it is given, but DSM(ref) sees the reference set alone."""
        return self.reference_fraction if asked is None or self.reference_fraction == 1 else asked

    def loss(
        self, ratio: Ratio | None = None, reference_fraction: float = 0.5, alpha: float = 1.0
    ) -> Callable[..., Tensor]:
        """The loss of (denoiser, x0, sigma, noise) for a ratio and the pi that its weight is made with.

        A power alpha without a weight to take it of, or a missing ratio, is a ValueError.
        """
        if self.ratio is None:
            if alpha != 1:
                raise ValueError(f"alpha={alpha}: {self.label} has no weight to take to a power; must be 1")
            return self.objective
        if ratio is None:
            raise ValueError(f"ratio=None: {self.label} needs a {self.ratio.replace('_', '-')} ratio")
        return partial(self.objective, ratio=ratio, reference_fraction=reference_fraction, alpha=alpha)


CLEAN = {"ratio": "time_independent", "reference_fraction": 0.5}
NOISY = {"ratio": "time_dependent", "reference_fraction": 0.5}
METHODS = {
    "dsm_ref": Method(label="DSM(ref)", objective=dsm, reference_fraction=1.0),
    "dsm_obs": Method(label="DSM(obs)", objective=dsm),
    "iw_dsm": Method(label="IW-DSM", objective=iw_dsm, **CLEAN),
    "tiw_dsm": Method(label="TIW-DSM", objective=tiw_dsm, **NOISY),
    "w_only": Method(label="W-only", objective=partial(tiw_dsm, correction=False), **NOISY),
    "c_only": Method(label="C-only", objective=partial(tiw_dsm, weight=False), **NOISY),
}


def method(name: str) -> Method:
    """The method of that name; an unknown one is a ValueError that lists them."""
    if name not in METHODS:
        raise ValueError(f"method={name!r}: must be one of {', '.join(METHODS)}")
    return METHODS[name]
