"""Distributions of the noise level sigma, the paper's VP time, and the grid that a sampler walks down."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class NoiseDistribution(Protocol):
    """Which noise levels a network is trained at."""

    def sample(self, n: int, device="cpu") -> Tensor:
        """n levels sigma >= 0, shape (n,), from torch's global generator."""


def expand(sigma: Tensor, x: Tensor) -> Tensor:
    """sigma (B,) shaped to broadcast against x (B, ...): (B, 1, ..., 1). The only place where that happens."""
    if sigma.shape != x.shape[:1]:
        raise ValueError(f"sigma has shape {tuple(sigma.shape)}: must be (B,) = ({x.shape[0]},)")
    return sigma.reshape(-1, *[1] * (x.dim() - 1))


def loss_weight(sigma: Tensor, sigma_data: float) -> Tensor:
    """EDM's lambda(sigma) = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2, shape of sigma."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


@dataclass(frozen=True)
class LogNormal:
    """EDM's distribution of the noise level in training: log sigma ~ N(P_mean, P_std^2).

    The defaults are EDM's, for sigma_data = 0.5.
    """

    P_mean: float = -1.2
    P_std: float = 1.2

    @classmethod
    def for_data(cls, sigma_data: float) -> "LogNormal":
        """EDM's distribution for data of another scale: the same for sigma / sigma_data."""
        return cls(P_mean=-1.2 + math.log(sigma_data / 0.5))

    def sample(self, n: int, device="cpu") -> Tensor:
        """n levels from torch's global generator, shape (n,)."""
        return (torch.randn(n, device=device) * self.P_std + self.P_mean).exp()


@dataclass(frozen=True)
class Clean:
    """No noise at all: what the time-independent ratio is trained on."""

    def sample(self, n: int, device="cpu") -> Tensor:
        return torch.zeros(n, device=device)


BETA_MIN, BETA_MAX = 0.1, 20.0


def vp_sigma(t: Tensor) -> Tensor:
    """sigma(t) = sqrt(exp(0.5 * 19.9 t^2 + 0.1 t) - 1), t in [0, 1]."""
    return (0.5 * (BETA_MAX - BETA_MIN) * t**2 + BETA_MIN * t).expm1().sqrt()


def vp_time(sigma: Tensor) -> Tensor:
    """The inverse of vp_sigma: the positive root of 0.5 * 19.9 t^2 + 0.1 t = log(1 + sigma^2)."""
    slope = BETA_MAX - BETA_MIN
    return 2 * (sigma**2).log1p() / (BETA_MIN + (BETA_MIN**2 + 2 * slope * (sigma**2).log1p()).sqrt())


def sampling_grid(steps: int, sigma_data: float = 0.5, rho: float = 7.0, dtype=torch.float32) -> Tensor:
    """EDM's descending grid of `steps` levels, then 0: shape (steps + 1,).

    It runs from 80 to 0.002 for images, whose sigma_data is 0.5, and scales with other data.
    """
    if steps < 2:
        raise ValueError(f"steps={steps}: must be at least 2")
    if sigma_data <= 0:
        raise ValueError(f"sigma_data={sigma_data}: must be positive")
    return grid_between(160 * sigma_data, 0.004 * sigma_data, steps, rho, dtype)


def grid_between(sigma_max: float, sigma_min: float, steps: int, rho=7.0, dtype=torch.float32) -> Tensor:
    """EDM's spacing between two levels of one's own, then 0: shape (steps + 1,), descending."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigma = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([sigma, sigma.new_zeros(1)]).to(dtype)
