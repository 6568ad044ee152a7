"""Ratios that are altered on purpose: left out at small noise, or with a logit that is too large or too small."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tiwlib.objectives import Ratio


@dataclass(frozen=True)
class Above:
    """A ratio used above a noise level only: log r = 0 at sigma <= threshold, so w = 1 and no correction."""

    ratio: Ratio
    threshold: float

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r(x, sigma) where sigma > threshold, else 0, shape (B,)."""
        return torch.where(sigma > self.threshold, self.ratio.log_ratio(x, sigma), 0.0)


@dataclass(frozen=True)
class Scaled:
    """A ratio whose logit is `factor` times another's: overconfident above 1, underconfident below 1."""

    ratio: Ratio
    factor: float

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """factor log r(x, sigma), shape (B,)."""
        return self.factor * self.ratio.log_ratio(x, sigma)
