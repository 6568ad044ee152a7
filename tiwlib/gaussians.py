"""Gaussian mixtures, exact at every noise level: the truth that everything learned is held against."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianMixture:
    """p(x0) = sum_k weights_k N(means_k, std^2 I), and p^sigma = p * N(0, sigma^2 I) in closed form.

    weights: (K,), positive, sum to one. means: (K, d). std: standard deviation of every mode.
    Tensors follow the dtype and device of the `x` they are asked about; `sigma` has shape (B,) and sigma >= 0.
    """

    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    std: float = 1.0

    def __post_init__(self):
        if any(w <= 0 for w in self.weights) or abs(sum(self.weights) - 1) > 1e-9:
            raise ValueError(f"weights={self.weights}: must be positive and sum to one")
        if len(self.means) != len(self.weights):
            raise ValueError(f"means={self.means}: needs one mean for each of {len(self.weights)} weights")
        if self.std <= 0:
            raise ValueError(f"std={self.std}: must be positive")

    def _modes(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Joint log densities (B, K) of mode and point, offsets to the means (B, K, d), variances (B, 1)."""
        means = torch.as_tensor(self.means, dtype=x.dtype, device=x.device)  # (K, d)
        log_weights = torch.as_tensor(self.weights, dtype=x.dtype, device=x.device).log()  # (K,)
        variance = (self.std**2 + sigma.to(x) ** 2)[:, None]  # (B, 1)
        offset = means - x[:, None, :]  # (B, K, d)
        normaliser = 0.5 * x.shape[1] * (2 * torch.pi * variance).log()
        return log_weights - offset.square().sum(-1) / (2 * variance) - normaliser, offset, variance

    def log_prob(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log p^sigma(x), shape (B,)."""
        return self._modes(x, sigma)[0].logsumexp(1)

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """grad_x log p^sigma(x), shape (B, d): the posterior mean of (mean_k - x) / (std^2 + sigma^2)."""
        log_joint, offset, variance = self._modes(x, sigma)
        posterior = log_joint.softmax(1)  # (B, K)
        return (posterior[..., None] * offset).sum(1) / variance

    def denoised(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x0 | x] = x + sigma^2 score (Tweedie), shape (B, d)."""
        return x + sigma.to(x)[:, None] ** 2 * self.score(x, sigma)

    __call__ = denoised  # the mixture is the perfect denoiser of its own density: D(x, sigma)

    def sample(self, n: int, generator: torch.Generator | None = None, dtype=torch.float32) -> Tensor:
        """n clean points x0, shape (n, d)."""
        weights = torch.tensor(self.weights, dtype=torch.float64)
        mode = torch.multinomial(weights, n, replacement=True, generator=generator)  # (n,)
        means = torch.tensor(self.means, dtype=dtype)
        return means[mode] + self.std * torch.randn(n, means.shape[1], generator=generator, dtype=dtype)

    def mix(self, other: "GaussianMixture", fraction: float) -> "GaussianMixture":
        """The density `fraction * other + (1 - fraction) * self`; both share `std`; 0 <= fraction <= 1."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction={fraction}: must lie in [0, 1]")
        if self.std != other.std:
            raise ValueError(f"std={other.std}: both mixtures need the same std, here {self.std}")
        weighted = [(w * (1 - fraction), m) for w, m in zip(self.weights, self.means, strict=True)]
        weighted += [(w * fraction, m) for w, m in zip(other.weights, other.means, strict=True)]
        weights, means = zip(*[(w, m) for w, m in weighted if w > 0], strict=True)
        return GaussianMixture(weights, means, self.std)


@dataclass(frozen=True)
class ExactRatio:
    """The closed-form twin of a ratio network: log r(x, sigma) = log p_data^sigma - log p_bias^sigma."""

    p_data: GaussianMixture
    p_bias: GaussianMixture

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r(x, sigma), shape (B,)."""
        return self.p_data.log_prob(x, sigma) - self.p_bias.log_prob(x, sigma)

    def grad_log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """grad_x log r(x, sigma), shape (B, d), without autograd."""
        return self.p_data.score(x, sigma) - self.p_bias.score(x, sigma)


# The paper's 2-D example (its figures 2 and 3): same modes, other shares.
MODES = ((-2.0, -2.0), (2.0, 2.0))
P_BIAS = GaussianMixture((0.8, 0.2), MODES)
P_DATA = GaussianMixture((0.5, 0.5), MODES)
EXACT_RATIO = ExactRatio(P_DATA, P_BIAS)
# A bias that no cluster shows: every mode of the biased density is moved sideways, the shares are those of P_DATA.
SHIFT = (1.0, -1.0)
P_SHIFTED = GaussianMixture((0.5, 0.5), tuple((x + SHIFT[0], y + SHIFT[1]) for x, y in MODES))
TWO_D_PAIRS = {"shares": EXACT_RATIO, "within_modes": ExactRatio(P_DATA, P_SHIFTED)}
SIGMA_DATA = 5**0.5  # standard deviation of a coordinate of P_DATA: sqrt(1 + 2^2)


def draw_pair(n_biased: int, n_reference: int, seed: int) -> tuple[Tensor, Tensor]:
    """Samples of P_BIAS (n_biased, 2) and P_DATA (n_reference, 2) of one repetition.

    Their stream shares nothing with networks or noise that are seeded by the same number.
    """
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, 2024]).generate_state(1)[0]))
    return P_BIAS.sample(n_biased, generator), P_DATA.sample(n_reference, generator)


def nearer_mode(x: Tensor) -> Tensor:
    """int64 (n,): which of MODES each point (n, 2) is nearer to, the Bayes rule of the balanced mixture."""
    return (x.sum(1) > 0).long()


def minority_share(x: Tensor) -> float:
    """Share of points (n, 2) nearer to the mode at (2, 2), which has 20 % of P_BIAS and 50 % of P_DATA."""
    return nearer_mode(x).double().mean().item()
