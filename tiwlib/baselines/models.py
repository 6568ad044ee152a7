"""Models trained from nothing: our own methods as rows, and the base models that the others build upon.

Each is trained once for a problem, budget and seed, and cached: the row DSM(obs) of a table and the base of ratio
guidance are the same network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tiwlib import training
from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.data.problems import Problem
from tiwlib.networks import DenoiserNet
from tiwlib.noise import NoiseDistribution
from tiwlib.runs.experiment import Experiment
from tiwlib.training import TrainingConfig


def size(network: nn.Module) -> int:
    """Number of weights, trainable or frozen."""
    return sum(p.numel() for p in network.parameters())


@dataclass(frozen=True)
class Weighted:
    """Samples, drawn with replacement: what `training.train` draws from.

    x0: (N, ...). labels: (N, ...), which then come with every batch. weights: (N,), in proportion to which samples
    are drawn; None for all alike. Drawing a sample more often has the minimiser of a heavier loss, and less noise.
    """

    x0: Tensor
    labels: Tensor | None = None
    weights: Tensor | None = None

    def batch(self, n: int) -> Tensor | tuple[Tensor, Tensor]:
        """n of them, by torch's global generator."""
        if self.weights is None:
            rows = torch.randint(len(self.x0), (n,))
        else:
            rows = torch.multinomial(self.weights, n, replacement=True)
        return self.x0[rows] if self.labels is None else (self.x0[rows], self.labels[rows])


def train(
    network: nn.Module,
    loss: Callable[..., Tensor],
    data,
    noise_distribution: NoiseDistribution,
    config: TrainingConfig,
    seed: int,
) -> list[tuple[int, float]]:
    """Run the one loop to its end and freeze the network; returns [(step, loss)]."""
    reports = training.train(network, loss, data, noise_distribution, config, seed=seed)
    losses = [(report.step, report.loss) for report in reports]
    network.requires_grad_(False)
    return losses


def experiment(problem: Problem, name: str, budget: Budget, seed: int) -> Experiment:
    """The experiment behind a row: a method of objectives.METHODS, or "dsm_bias", DSM on the biased set alone."""
    if name == "dsm_bias":
        return Experiment(problem.biased_alone(), budget.experiment("dsm_ref", seed))
    return Experiment(problem, budget.experiment(name, seed))


def trained_once(problem: Problem, name: str, budget: Budget, seed: int) -> tuple[DenoiserNet, Log]:
    """The denoiser of `experiment`, frozen, and what it has cost, the ratio's fit included."""
    run = experiment(problem, name, budget, seed)
    ratio = run.ratio()
    denoiser, cached = run.trained_once(ratio)
    of_ratio = run.costs["ratio"]["seconds"] if ratio else 0.0
    steps = budget.steps + (budget.ratio_steps if ratio else 0)
    log = Log(steps=steps, seconds=of_ratio + cached.seconds, losses=cached.info["losses"])
    return denoiser, log


def base_of(baseline: Baseline, problem: Problem, budget: Budget, seed: int) -> DenoiserNet | None:
    """The base model that a baseline requires, trained at most once for all of them; None where it requires none."""
    if baseline.requires.base is None:
        return None
    return trained_once(problem, baseline.requires.base, budget, seed)[0]


@dataclass
class Trained(Baseline):
    """A method of this library as a row: trained from nothing, nothing added at sampling time."""

    name: str
    label: str
    requires: Requires

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        denoiser, log = trained_once(problem, self.name, budget, seed)
        return log, denoiser
