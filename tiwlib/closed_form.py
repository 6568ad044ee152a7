"""Where each loss ends on Gaussian mixtures, and how far a learned ratio or denoiser is from there.

Everything here is exact, or an integral over exact densities: the truth that trained networks are held against.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import integrate
from torch import Tensor

from tiwlib.gaussians import ExactRatio, GaussianMixture
from tiwlib.noise import expand, vp_sigma
from tiwlib.objectives import Denoiser, Ratio, log_weight, squared_error, weight_and_correction

EVALUATION_SEED = 9_302_403  # of the points that errors are taken on: no repetition draws its data from it


# ---------------------------------------------------------------- minimisers


def _plain(exact, batch, ratio, weight_fraction, alpha):
    """DSM and W-only: E[x0 | x] of the batch density, for a weight of (x, sigma) alone never moves the minimiser."""
    return batch.denoised


def _importance(exact, batch, ratio, weight_fraction, alpha):
    """IW-DSM: importance weights of clean samples, exact here, make the batch p_data."""
    if alpha != 1 or ratio is not exact or batch != exact.p_bias.mix(exact.p_data, weight_fraction):
        raise ValueError(
            f"alpha={alpha}, weight_fraction={weight_fraction}: no exact weights of IW-DSM; see measures.equal_ratios"
        )
    return exact.p_data.denoised


def _corrected(exact, batch, ratio, weight_fraction, alpha):
    """TIW-DSM and C-only: the correction adds sigma^2 alpha grad log w (theorem 1)."""

    def denoised(x: Tensor, sigma: Tensor) -> Tensor:
        _, grad_log_w = weight_and_correction(ratio, x, sigma, weight_fraction)  # (B, ...)
        return batch.denoised(x, sigma) + expand(sigma, x) ** 2 * alpha * grad_log_w

    return denoised


MINIMISERS = {
    "dsm_ref": _plain,
    "dsm_obs": _plain,
    "w_only": _plain,
    "iw_dsm": _importance,
    "tiw_dsm": _corrected,
    "c_only": _corrected,
}


def minimiser(
    method: str,
    exact: ExactRatio,
    reference_fraction: float,
    *,
    ratio: Ratio | None = None,
    alpha: float = 1.0,
    weight_fraction: float | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """The denoiser D(x; sigma) at which a method's expected loss is least.

    method: a name of objectives.METHODS; one without a closed form is a ValueError. exact: the pair of mixtures.
    reference_fraction: pi of the batches. ratio: what weight and correction are taken from, the exact one by default.
    weight_fraction: the pi that w is made with, where it is not that of the batches.
    """
    if method not in MINIMISERS:
        raise ValueError(f"method={method!r}: has no closed form; known are {', '.join(MINIMISERS)}")
    batch = exact.p_bias.mix(exact.p_data, reference_fraction)
    weight_fraction = reference_fraction if weight_fraction is None else weight_fraction
    return MINIMISERS[method](exact, batch, ratio or exact, weight_fraction, alpha)


# ---------------------------------------------------------------- the authors' code


@dataclass(frozen=True, kw_only=True)
class AuthorsFormula:
    """The loss of the authors' released code on half-and-half batches, each of its faults on or off.

    Three things differ from theorem 1. The correction is the gradient of d, not of log d: smaller by the factor d.
    Its sign is the opposite. And one axis too many in the weighted loss, (B, 1, 1, B, C, H, W), lets every sample
    carry the batch's mean weight. Do not train with it: notebook 02 shows where it ends.

    gradient_of: "d" (released) or "log d" (the paper). sign: -1 (released) or 1 (the paper). shared_weight: every
    sample has the batch's mean weight (released) or its own. Other values are ValueErrors.
    """

    label: str
    gradient_of: str = "d"
    sign: int = -1
    shared_weight: bool = True

    def __post_init__(self):
        if self.gradient_of not in ("d", "log d"):
            raise ValueError(f"gradient_of={self.gradient_of!r}: must be 'd' or 'log d'")
        if self.sign not in (-1, 1):
            raise ValueError(f"sign={self.sign}: must be -1 or 1")

    def correction(self, ratio: Ratio, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """d(x, sigma) (B,), and what stands in the place of grad_x log w = grad_x log d, (B, ...)."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            d = ratio.log_ratio(x, sigma).sigmoid()  # (B,)
            value = d if self.gradient_of == "d" else d.log()
            (gradient,) = torch.autograd.grad(value.sum(), x)
        return d.detach(), self.sign * gradient

    def loss(self, denoiser: Denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, *, ratio: Ratio) -> Tensor:
        """lambda 2 d ||D - (x0 + sigma^2 correction)||^2, shape (B,), with the faults that are on."""
        s = expand(sigma, x0)
        x = x0 + s * noise
        d, correction = self.correction(ratio, x, sigma)
        w = 2 * d.mean() if self.shared_weight else 2 * d
        return w * squared_error(denoiser, x, sigma, x0 + s**2 * correction)

    def minimiser(self, exact: ExactRatio) -> Callable[[Tensor, Tensor], Tensor]:
        """E[x0 | x] of the half-and-half batch and sigma^2 correction: no weight moves it, shared or not."""
        batch = exact.p_bias.mix(exact.p_data, 0.5)

        def denoised(x: Tensor, sigma: Tensor) -> Tensor:
            _, correction = self.correction(exact, x, sigma)
            return batch.denoised(x, sigma) + expand(sigma, x) ** 2 * correction

        return denoised


RELEASED = AuthorsFormula(label="released code")
SIGN_MENDED = AuthorsFormula(label="released, sign mended", sign=1)
LOG_MENDED = AuthorsFormula(label="released, log d", gradient_of="log d")


# ---------------------------------------------------------------- errors, and what a power of the weight aims at


class One:
    """The ratio that has learned nothing: r = 1, whose error is the scale of all others."""

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Zero, shape (B,)."""
        return 0 * x.flatten(1).sum(1)


def ratio_errors(
    ratio: Ratio, exact: ExactRatio, *, n: int = 4000, times: int = 50, seed: int = EVALUATION_SEED
) -> dict[str, np.ndarray]:
    """Mean squared errors of r and of sigma grad log r under p_bias^sigma, along VP time.

    Returns arrays (times,): t, sigma, ratio = E (r_hat - r)^2, score = E sigma^2 ||grad log r_hat - grad log r||^2.
    The same points are used for every ratio with the same seed.
    """
    generator = torch.Generator().manual_seed(seed)
    x0 = exact.p_bias.sample(n, generator)  # (n, d)
    t = (torch.arange(times) + 0.5) / times  # midpoints: their mean is the integral over t in [0, 1]
    rows = {"t": t.numpy(), "sigma": vp_sigma(t).numpy(), "ratio": [], "score": []}
    for level in vp_sigma(t):
        sigma = level.expand(n)
        x = x0 + expand(sigma, x0) * torch.randn(x0.shape, generator=generator)
        r_hat, grad_hat = weight_and_correction(ratio, x, sigma, reference_fraction=0)
        r, grad = weight_and_correction(exact, x, sigma, reference_fraction=0)
        rows["ratio"].append((r_hat - r).square().mean().item())
        rows["score"].append((level * (grad_hat - grad)).square().sum(1).mean().item())
    return {name: np.asarray(values) for name, values in rows.items()}


def clean_ratio_error(ratio: Ratio, exact: ExactRatio, *, n: int = 4000, seed=EVALUATION_SEED) -> float:
    """E (r_hat - r)^2 of clean samples of p_bias: what importance weighting lives with at every t."""
    x0 = exact.p_bias.sample(n, torch.Generator().manual_seed(seed))
    sigma = torch.zeros(n)
    with torch.no_grad():
        difference = ratio.log_ratio(x0, sigma).exp() - exact.log_ratio(x0, sigma).exp()
    return difference.square().mean().item()


def score_error(
    denoiser: Callable[[Tensor, Tensor], Tensor],
    p_data: GaussianMixture,
    *,
    n: int = 2000,
    times: int = 20,
    seed: int = EVALUATION_SEED,
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
    """Minority share of the clean density p_batch w^alpha, normalised: what a weight to a power aims at.

    Both mixtures vary along the diagonal u = (x + y) / sqrt 2 alone, so it is a quotient of two integrals over u.
    """
    batch = exact.p_bias.mix(exact.p_data, reference_fraction)

    def density(u: np.ndarray) -> np.ndarray:
        x = torch.as_tensor(u)[:, None] * torch.ones(2, dtype=torch.float64) / 2**0.5  # (N, 2)
        zero = torch.zeros(len(x), dtype=torch.float64)
        log_w = log_weight(exact.log_ratio(x, zero), reference_fraction)
        return (batch.log_prob(x, zero) + alpha * log_w).exp().numpy()

    u = np.linspace(0, 12, 2001)  # the modes are at +-2.83 with standard deviation 1
    upper, lower = (integrate.simpson(density(sign * u), x=u) for sign in (1, -1))
    return float(upper / (upper + lower))
