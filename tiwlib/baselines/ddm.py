"""DDM ("Debiasing Diffusion Model", arXiv 2503.12536), as it was released and as its abstract describes it.

As released: an indicator network reads the predicted noise and names the group, trained jointly with the
denoiser, not against it. It needs labels, and is thrown away afterwards.

    L = (1 - w) DSM + w CE(indicator((x - D) / sigma), label)

Balanced: clusters of the base model's bottleneck stand for groups, and the model is trained on with each cluster
as heavy as any other. No labels; our reading of "balanced representations without sensitive attributes".
"""

import copy
import time
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.models import Weighted, train
from tiwlib.data.problems import Problem
from tiwlib.networks import DenoiserNet, seeded
from tiwlib.noise import expand
from tiwlib.objectives import dsm, squared_error


class WithIndicator(nn.Module):
    """A denoiser and its indicator, trained together. The indicator: noise (B, *shape) -> logits (B, G)."""

    def __init__(self, denoiser: DenoiserNet, dim: int, n_groups: int, width: int = 64):
        super().__init__()
        self.denoiser, self.sigma_data = denoiser, denoiser.sigma_data
        self.indicator = nn.Sequential(
            nn.Flatten(), nn.Linear(dim, width), nn.SiLU(), nn.Linear(width, n_groups)
        )

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.denoiser(x, sigma)


def with_labels(
    network: WithIndicator, x0: Tensor, sigma: Tensor, noise: Tensor, labels: Tensor, *, w: float
) -> Tensor:
    """(1 - w) DSM + w CE, (B,). labels: int64 (B,). At w = 0 it is DSM."""
    denoising, classification = both_parts(network, x0, sigma, noise, labels)
    return (1 - w) * denoising + w * classification


def both_parts(
    network: WithIndicator, x0: Tensor, sigma: Tensor, noise: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """The DSM loss and the indicator's cross-entropy, (B,) each, of one evaluation of the denoiser."""
    s = expand(sigma, x0)
    x = x0 + s * noise
    denoised = network(x, sigma)

    def same(x, sigma):
        return denoised

    same.sigma_data = network.sigma_data
    logits = network.indicator((x - denoised) / s)  # (B, G)
    return squared_error(same, x, sigma, x0), cross_entropy(logits, labels, reduction="none")


@torch.no_grad()
def representations(network, x0: Tensor, sigmas: tuple[float, ...], noises: int, seed: int) -> Tensor:
    """The flattened bottleneck h of each sample, averaged over levels and noises: (N, F)."""
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for level in sigmas:
        sigma = torch.full((len(x0),), level)
        for _ in range(noises):
            x = x0 + level * torch.randn(x0.shape, generator=generator)
            parts = zip(x.split(500), sigma.split(500), strict=True)  # a whole set would not fit into memory
            total = total + torch.cat([network.encode(*part)[0].flatten(1) for part in parts])
    return total / (len(sigmas) * noises)


@dataclass
class DdmReleased(Baseline):
    """As released, from nothing. w: weight of the indicator, in [0, 1)."""

    w: float = 0.05

    name: ClassVar[str] = "ddm_released"
    label: ClassVar[str] = "ddm-released"
    requires: ClassVar[Requires] = Requires(labels=True)

    def __post_init__(self):
        if not 0 <= self.w < 1:
            raise ValueError(f"w={self.w}: must lie in [0, 1)")

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        began = time.perf_counter()
        denoiser = seeded(problem.denoiser, seed=seed)
        dim = problem.biased[0].numel()
        network = seeded(WithIndicator, denoiser, dim, len(problem.group_names), seed=seed)
        data = Weighted(problem.biased, problem.labels)
        loss = partial(with_labels, w=self.w)
        losses = train(network, loss, data, problem.noise_distribution, budget.training(), seed)
        return Log(steps=budget.steps, seconds=time.perf_counter() - began, losses=losses), denoiser


@dataclass
class DdmBalanced(Baseline):
    """The base model trained on, samples drawn with weights 1 / (share of their cluster).

    clusters: their number. sigmas: levels of the representation, in units of the data's standard deviation.
    """

    clusters: int = 2
    sigmas: tuple[float, ...] = (0.2, 0.6, 1.2)
    noises: int = 8

    name: ClassVar[str] = "ddm_balanced"
    label: ClassVar[str] = "ddm-balanced"
    requires: ClassVar[Requires] = Requires(base="dsm_bias", guess="number of groups")

    def __post_init__(self):
        if self.clusters < 1:
            raise ValueError(f"clusters={self.clusters}: must be at least 1")

    def groups(self, problem: Problem, base, seed: int) -> Tensor:
        """The cluster of each biased sample: int64 (N,)."""
        levels = tuple(s * problem.sigma_data for s in self.sigmas)
        h = representations(base, problem.biased, levels, self.noises, seed)
        clusters = KMeans(self.clusters, n_init=10, random_state=seed).fit(h.numpy()).labels_
        return torch.from_numpy(clusters).long()

    def check(self, problem: Problem, base=None) -> None:
        super().check(problem, base)
        if self.clusters > len(problem.biased):
            raise ValueError(
                f"clusters={self.clusters}: must be at most {len(problem.biased)}, the biased samples"
            )

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        began = time.perf_counter()
        groups = self.groups(problem, base, seed)
        data = Weighted(problem.biased, weights=(1 / torch.bincount(groups))[groups])
        network = copy.deepcopy(base).requires_grad_(True)
        losses = train(network, dsm, data, problem.noise_distribution, budget.tuning(), seed)
        return Log(steps=budget.tune_steps, seconds=time.perf_counter() - began, losses=losses), network
