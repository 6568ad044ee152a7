"""Biased images above a noise level alone: the idea of Ambient-o (Daras et al. 2025, arXiv 2506.10038).

Noise brings two densities together, so at large noise biased images harm less than they help. At sigma above a
threshold all images are trained on, below it the reference images alone:

    L = E lambda(sigma) || D(x0 + sigma noise; sigma) - x0 ||^2,   x0 ~ p_obs where sigma >= threshold, else p_ref

Its minimiser denoises for p_obs above the threshold and for p_ref below. At threshold 0 it is DSM(obs), without a
bound DSM(ref). Ambient-o gives each image a threshold of its own, by a classifier of noisy images; here there is one
for all, an option. What the noise above the threshold decides stays biased.
"""

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.models import train
from tiwlib.batches import Observed
from tiwlib.data.problems import Problem
from tiwlib.networks import seeded
from tiwlib.noise import expand
from tiwlib.objectives import Denoiser, dsm


@dataclass(frozen=True)
class Pairs:
    """What training draws from: a sample of all images, and beside it one of the reference set."""

    observed: Observed

    def batch(self, n: int) -> tuple[Tensor, Tensor]:
        """(n, *shape) each, by torch's global generator."""
        reference = self.observed.reference
        return self.observed.batch(n), reference[torch.randint(len(reference), (n,))]


def dsm_above(
    denoiser: Denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, reference: Tensor, *, threshold: float
) -> Tensor:
    """DSM of x0 where sigma (B,) is at least the threshold, of the reference samples (B, *shape) below it: (B,)."""
    return dsm(denoiser, torch.where(expand(sigma >= threshold, x0), x0, reference), sigma, noise)


@dataclass
class Ambient(Baseline):
    """See the module. threshold: in units of the data's standard deviation, at least 0."""

    threshold: float = 4.0

    name: ClassVar[str] = "ambient"
    label: ClassVar[str] = "Ambient-o, one threshold"
    requires: ClassVar[Requires] = Requires(reference=True)
    tried: ClassVar[dict[str, list]] = {"threshold": [1.0, 2.0, 4.0, 8.0]}

    def __post_init__(self):
        if not 0 <= self.threshold < math.inf:
            raise ValueError(f"threshold={self.threshold}: must be finite and not negative")

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        began = time.perf_counter()
        denoiser = seeded(problem.denoiser, seed=seed)
        data = Pairs(Observed(problem.biased, problem.reference))
        loss = partial(dsm_above, threshold=self.threshold * problem.sigma_data)
        losses = train(denoiser, loss, data, problem.noise_distribution, budget.training(), seed)
        return Log(steps=budget.steps, seconds=time.perf_counter() - began, losses=losses), denoiser
