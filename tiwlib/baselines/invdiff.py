"""InvDiff (arXiv 2412.08480): a small module on a frozen base model, trained to serve all groups equally.

    D_Delta = decode(h + Delta(h, sigma)),   D = r D_Delta + (1 - r) D_base,   loss = mean_g L_g + lambda Var_g(L_g)

h is the base model's bottleneck, and Delta starts at zero. L_g is the denoising loss of group g under D, sample i
belonging to it with weight w_ig. What is trained is what samples, so r does not move the best D. The groups are the
true ones (oracle), or inferred: the samples that the base model denoises worst are a group.
"""

import math
import time
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tiwlib.backbones import MLP
from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.models import Weighted, size, train
from tiwlib.data.problems import Problem
from tiwlib.networks import DenoiserNet, seeded
from tiwlib.noise import NoiseDistribution
from tiwlib.objectives import dsm


class Added(nn.Module):
    """D(x, sigma) = r decode(h + Delta(h, sigma)) + (1 - r) decode(h), of a frozen base with bottleneck h.

    Delta is an MLP over the channels of h, (B, C) or (B, C, H, W), the same at every place; its last layer
    starts at zero.
    """

    def __init__(self, base: DenoiserNet, channels: int, width: int, r: float):
        super().__init__()
        self.base, self.sigma_data, self.r = base.requires_grad_(False), base.sigma_data, r
        self.delta = MLP(channels, channels, width)
        nn.init.zeros_(self.delta.last.weight)
        nn.init.zeros_(self.delta.last.bias)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        h, context = self.base.encode(x, sigma)
        places = h.movedim(1, -1)  # (B, ..., C)
        levels = (sigma.log() / 4).repeat_interleave(places[0].numel() // places.shape[-1])
        delta = self.delta(places.flatten(0, -2), levels).view(places.shape).movedim(-1, 1)
        moved = self.base.decode(h + delta, context, x, sigma)
        return self.r * moved + (1 - self.r) * self.base.decode(h, context, x, sigma)


def equal_groups(
    network, x0: Tensor, sigma: Tensor, noise: Tensor, labels: Tensor, *, variance: float
) -> Tensor:
    """mean_g L_g + lambda Var_g(L_g), a number. labels: the weights w (B, G) of samples in groups; variance: lambda.

    The batch is drawn so that the groups have equal parts of it in the mean. Then L_g = G mean_i w_ig l_i, which is
    unbiased, and a batch without a group is no division by zero.
    """
    each = dsm(network, x0, sigma, noise)  # (B,)
    groups = labels.shape[1] * (labels * each[:, None]).mean(0)  # (G,)
    return groups.mean() + variance * groups.var(correction=0)


@torch.no_grad()
def denoising_errors(network, x0: Tensor, sigmas: tuple[float, ...], noises: int, seed: int) -> Tensor:
    """How badly each sample is denoised, (N,): its error at each level over the mean error there, averaged.

    sigmas: levels; noises: draws at each. 1 is as bad as the average sample.
    """
    generator = torch.Generator().manual_seed(seed)
    relative = []
    for level in sigmas:
        sigma = torch.full((len(x0),), level)
        total = torch.zeros(len(x0))
        for _ in range(noises):
            x = x0 + level * torch.randn(x0.shape, generator=generator)
            parts = zip(x.split(500), sigma.split(500), strict=True)  # a whole set would not fit into memory
            denoised = torch.cat([network(*part) for part in parts])
            total += (denoised - x0).square().flatten(1).mean(1)
        relative.append(total / total.mean())
    return torch.stack(relative).mean(0)


def hardest(errors: Tensor, share: float) -> Tensor:
    """The group of each sample: int64 (N,), 1 for the `share` with the largest errors.

    Of all ways to put that share into a second group, it spreads the groups' mean errors the most.
    """
    n = max(1, round(share * len(errors)))
    groups = torch.zeros(len(errors), dtype=torch.int64)
    groups[errors.topk(n).indices] = 1
    return groups


@torch.no_grad()
def group_losses(
    network, x0: Tensor, groups: Tensor, noise_distribution: NoiseDistribution, *, draws: int, seed: int
) -> Tensor:
    """L_g, the mean denoising loss of each group: (G,). groups: int64 (N,), each of 0 to G - 1 there.

    draws: of noise level and noise for each sample; with one seed the same for every network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        draw = noise_distribution.sample
        each = sum(dsm(network, x0, draw(len(x0)), torch.randn_like(x0)) for _ in range(draws)) / draws
    return torch.stack([each[groups == g].mean() for g in range(int(groups.max()) + 1)])


@dataclass
class InvDiff(Baseline):
    """See the module. oracle: true groups instead of inferred ones.

    share: of the inferred second group; prior knowledge that no data give. sigmas: levels of the errors, in
    units of the data's standard deviation. r: share of the module in D, in (0, 1]. variance: lambda, at least 0.
    width: of Delta.
    """

    oracle: bool = False
    share: float = 0.1
    sigmas: tuple[float, ...] = (2.0, 4.0, 8.0)
    noises: int = 32
    r: float = 0.8
    variance: float = 1.0
    width: int = 128

    def __post_init__(self):
        if not 0 < self.share < 1:
            raise ValueError(f"share={self.share}: must lie in (0, 1)")
        if not 0 < self.r <= 1:
            raise ValueError(f"r={self.r}: must lie in (0, 1]")
        if not 0 <= self.variance < math.inf:
            raise ValueError(f"variance={self.variance}: must be finite and not negative")

    @property
    def name(self) -> str:
        return "invdiff_oracle" if self.oracle else "invdiff"

    @property
    def label(self) -> str:
        return "InvDiff, true groups" if self.oracle else "InvDiff, inferred"

    @property
    def requires(self) -> Requires:
        guess = "" if self.oracle else "rare share"
        return Requires(labels=self.oracle, base="dsm_bias", guess=guess)

    def groups(self, problem: Problem, base, seed: int) -> Tensor:
        """The group of each biased sample: int64 (N,)."""
        if self.oracle:
            return problem.labels
        levels = tuple(s * problem.sigma_data for s in self.sigmas)
        return hardest(denoising_errors(base, problem.biased, levels, self.noises, seed), self.share)

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        began = time.perf_counter()
        groups = nn.functional.one_hot(self.groups(problem, base, seed)).float()  # (N, G)
        groups = groups[:, groups.sum(0) > 0]  # a group without samples cannot be served
        data = Weighted(problem.biased, groups, (groups / groups.mean(0)).sum(1))
        h, _ = base.encode(problem.biased[:1], torch.ones(1))
        network = seeded(Added, base, h.shape[1], self.width, self.r, seed=seed)
        loss = partial(equal_groups, variance=self.variance)
        losses = train(network, loss, data, problem.noise_distribution, budget.tuning(), seed)
        log = Log(
            steps=budget.tune_steps,
            seconds=time.perf_counter() - began,
            losses=losses,
            extra_parameters=size(network.delta),
            evaluations=1.5,
        )
        return log, network
