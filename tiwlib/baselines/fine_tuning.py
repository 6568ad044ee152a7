"""Fine-tuning with early stopping: the idea of fairTL (Teo et al. 2023, arXiv 2212.00926), on a diffusion model.

A model of the many images is trained on with the few reference images alone. Too short, and it keeps the bias; too
long, and it copies them. Part of the reference set is held out, and of several lengths the one is taken whose
denoising loss on that part is lowest; length 0 is the base model. fairTL has GANs, whose length is chosen otherwise.
"""

import copy
import time
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.models import Weighted, train
from tiwlib.data.problems import Problem
from tiwlib.noise import NoiseDistribution
from tiwlib.objectives import dsm

STARTS = ("dsm_bias", "dsm_obs")
DRAWS = 64  # levels and noises for each held-out image


def lengths(steps: int) -> list[int]:
    """The lengths that are tried: `steps`, its half, its quarter, ..., ascending; six at most, none of them 0."""
    return sorted({steps >> k for k in range(6)} - {0})


def held_out(n: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the held-out and of the other samples among n: int64, at least one of each."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    held = min(max(1, round(share * n)), n - 1)
    return order[:held], order[held:]


@torch.no_grad()
def denoising_loss(network, x0: Tensor, noise_distribution: NoiseDistribution, seed: int) -> float:
    """The mean DSM loss of samples (N, *shape), each at DRAWS levels and noises that follow from the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        x0 = x0.repeat_interleave(DRAWS, 0)
        sigma, noise = noise_distribution.sample(len(x0)), torch.randn_like(x0)
    parts = zip(x0.split(500), sigma.split(500), noise.split(500), strict=True)
    return torch.cat([dsm(network, *part) for part in parts]).mean().item()


@dataclass
class FineTuning(Baseline):
    """See the module.

    start: the base model, one of STARTS. "dsm_bias" has not seen the held-out images, as in fairTL; "dsm_obs" has, so
    that its own loss on them is one of training, and too low. held: share of the reference set that is held out, in
    (0, 1). After `fit`, held_out_losses has the loss of each length.
    """

    start: str = "dsm_bias"
    held: float = 0.2
    held_out_losses: dict[int, float] = field(default_factory=dict, init=False, repr=False)

    name: ClassVar[str] = "fine_tuning"
    label: ClassVar[str] = "fine-tuning"
    tried: ClassVar[dict[str, list]] = {"start": list(STARTS)}

    def __post_init__(self):
        if self.start not in STARTS:
            raise ValueError(f"start={self.start!r}: must be one of {', '.join(STARTS)}")
        if not 0 < self.held < 1:
            raise ValueError(f"held={self.held}: must lie in (0, 1)")

    @property
    def requires(self) -> Requires:
        return Requires(reference=True, base=self.start)

    def check(self, problem: Problem, base=None) -> None:
        super().check(problem, base)
        if len(problem.reference) < 2:
            raise ValueError(
                f"problem={problem.name}: has one reference sample; {self.label} requires at least two"
            )

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        began = time.perf_counter()
        held, rest = held_out(len(problem.reference), self.held, seed)
        networks, reports = {0: base}, {0: []}
        for steps in lengths(budget.tune_steps):
            networks[steps] = copy.deepcopy(base).requires_grad_(True)
            config = replace(budget.tuning(), steps=steps)
            data = Weighted(problem.reference[rest])
            reports[steps] = train(networks[steps], dsm, data, problem.noise_distribution, config, seed)
        self.held_out_losses = {
            steps: denoising_loss(network, problem.reference[held], problem.noise_distribution, seed)
            for steps, network in networks.items()
        }
        best = min(networks, key=self.held_out_losses.get)
        log = Log(steps=sum(networks), seconds=time.perf_counter() - began, losses=reports[best])
        return log, networks[best]
