"""`posterior`: r(x, sigma) = E[r(x0, 0) | x], the mean over the observed samples that x may have come from.

Under p_bias the mean of r(x0, 0) given the noisy sample is the exact time-dependent ratio. Here the posterior is that
of Gaussians around the observed samples, so a clean ratio becomes a time-dependent one without training anything: it
is where `distilled` ends if its network can be any function.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tiwlib.estimators import graph, heldout
from tiwlib.estimators.clusters import GaussianClusters
from tiwlib.ratio import FittedRatio


@dataclass(frozen=True, kw_only=True)
class PosteriorConfig(graph.GraphConfig):
    """std: of the Gaussian around each sample, in units of sigma_data."""

    std: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.std < np.inf:
            raise ValueError(f"std={self.std}: must be positive and finite")


def posterior_mean(x0: Tensor, label: Tensor, log_r0: Tensor, std: float) -> GaussianClusters:
    """E[r0 | x, sigma] over samples x0 (N, *shape) of both sets, label (N,) 1 for a reference one, log_r0 (N,).

    Both sets estimate p_bias: a sample of the half-and-half mixture of the sets counts 1 / (1 + r0), for
    p_bias = 2 p_mix / (1 + r).
    """
    sizes = torch.bincount(label.long(), minlength=2).to(log_r0)
    mass = 1 / sizes[label.long()]  # (N,), of the half-and-half mixture
    shares = mass / (1 + log_r0.exp())
    return GaussianClusters(x0, std, (shares / shares.sum()).to(x0), log_r0.to(x0))


def untrained(problem, base, config: PosteriorConfig) -> GaussianClusters:
    """The ratio before anything is known: r = 1."""
    n = len(problem.biased) + len(problem.reference)
    return GaussianClusters(torch.zeros(n, *problem.shape), 1.0, torch.full((n,), 1 / n), torch.zeros(n))


def fit(network, problem, base, config: PosteriorConfig, *, seed: int = 0, device="cpu") -> FittedRatio:
    """The clean ratio on the denoiser's features, out of fold, and its posterior mean.

    heldout: the observed samples without noise, each with the ratio of fits that have not seen its label.
    """
    clean = graph.clean_ratio(problem, base, config, seed=seed, device=device)
    network = posterior_mean(clean.x0, clean.label, clean.log_ratio, config.std * problem.sigma_data)
    return heldout.fitted(network.to(device), clean.heldout)
