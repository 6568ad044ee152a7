"""Distribution guidance ("Balancing Act", arXiv 2402.18206): move the bottleneck, not the weights.

An attribute distribution predictor (ADP) reads the bottleneck h at a noise level and names a group. While
sampling, h of the whole batch is moved so that the batch's mean prediction is the target p:

    q_i = softmax(ADP(h_i) / T),  q = mean_i q_i,  L = sum_k (q_k - p_k)^2 / p_k,  h <- h - gamma B dL/dh

then decoded with its own context. The factor B, the batch's size, makes gamma the same for every batch. The
gradient is taken with respect to h alone, so it passes through the ADP and never through the denoiser.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tiwlib.baselines.evaluation import draw
from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.models import Weighted, size, train
from tiwlib.data.problems import Problem
from tiwlib.networks import seeded
from tiwlib.noise import Clean, sampling_grid
from tiwlib.training import TrainingConfig


def refuse_no_distribution(target: tuple[float, ...]) -> None:
    """Shares that are wanted, (G,), are positive and sum to one; others are a ValueError."""
    if any(p <= 0 for p in target) or abs(sum(target) - 1) > 1e-6:
        raise ValueError(f"target={tuple(target)}: must be positive in every group and sum to one")


@dataclass(frozen=True)
class Attribute:
    """What is to be distributed: a classifier with predict(x) -> (B,) and n_groups, and the wanted shares.

    target: (n_groups,), positive, sum one. Anything else is a ValueError.
    """

    classifier: object
    target: tuple[float, ...]

    def __post_init__(self):
        refuse_no_distribution(self.target)
        if self.classifier.n_groups != len(self.target):
            raise ValueError(
                f"classifier: knows {self.classifier.n_groups} groups, the target {len(self.target)}; "
                f"both must have the same number"
            )


class Predictor(nn.Module):
    """An ADP for each of the levels (L,): (B, L, F) -> logits (B, L, G). hidden: 0 is one linear layer.

    The mean and spread of h at each level, taken from the trajectories (N, L, F), make the inputs of one scale;
    as a part of the linear layer they do not change what it can say.
    """

    sigma_data = 1.0  # the training loop hands it on; nothing here reads it

    def __init__(self, levels: Tensor, h: Tensor, n_groups: int, hidden: int = 0):
        super().__init__()
        self.register_buffer("levels", levels)
        self.register_buffer("mean", h.mean(0))  # (L, F)
        self.register_buffer("spread", h.std((0, 2), correction=0).clamp_min(1e-6)[:, None])  # (L, 1)
        sizes = [h.shape[2], *([hidden] if hidden else []), n_groups]
        self.weights = nn.ParameterList(
            torch.randn(len(levels), a, b) / a**0.5 for a, b in zip(sizes, sizes[1:], strict=False)
        )
        self.biases = nn.ParameterList(torch.zeros(len(levels), 1, b) for b in sizes[1:])

    def forward(self, h: Tensor) -> Tensor:
        """Logits of all levels (B, L, G), from h (B, L, F)."""
        return self._logits((h - self.mean) / self.spread, slice(None))

    def at(self, h: Tensor, level: int) -> Tensor:
        """Logits (B, G) at one level, from h (B, F)."""
        scaled = (h - self.mean[level]) / self.spread[level]
        return self._logits(scaled[:, None], slice(level, level + 1))[:, 0]

    def _logits(self, h: Tensor, part: slice) -> Tensor:
        h = h.transpose(0, 1)  # (L, B, F)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias[part], torch.relu(h) if i else h, weight[part])
        return h.transpose(0, 1)  # (B, L, G)


def balanced_loss(
    predictor: Predictor, h: Tensor, sigma: Tensor, noise: Tensor, labels: Tensor, *, group_weights: Tensor
) -> Tensor:
    """Cross-entropy of the predictor with pseudo-labels, each group as heavy as any other, (B,). No noise is added.

    h: (B, L, F); labels: int64 (B,); group_weights: (G,).
    """
    logits = predictor(h)  # (B, L, G)
    wanted = labels[:, None].expand(logits.shape[:2])  # (B, L)
    weights = group_weights.to(logits)
    return cross_entropy(logits.transpose(1, 2), wanted, weights, reduction="none").mean(1)


@dataclass(frozen=True)
class Trajectories:
    """A denoiser that also notes the flattened h of the levels that it is asked to watch."""

    network: object
    levels: Tensor  # (L,)
    bottlenecks: list  # (level, h (B, F)) of each call

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        h, context = self.network.encode(x, sigma)
        level = nearest(self.levels, sigma[0])
        if level is not None:
            self.bottlenecks.append((level, h.flatten(1).cpu()))
        return self.network.decode(h, context, x, sigma)


def nearest(levels: Tensor, sigma: Tensor) -> int | None:
    """The index of sigma among the levels, or None where it is none of them (to a thousandth)."""
    distance = (levels / sigma - 1).abs()
    i = int(distance.argmin())
    return i if distance[i] < 1e-3 else None


@dataclass(frozen=True)
class Guided:
    """D'(x, sigma): the denoiser, decoded from a moved h at the predictors' levels. Gradients of several add up."""

    network: object
    predictors: tuple[tuple[Predictor, tuple[float, ...]], ...]  # with their targets
    temperature: float
    gamma: float

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        h, context = self.network.encode(x, sigma)
        level = nearest(self.predictors[0][0].levels, sigma[0])
        if level is not None:
            h = self.moved(h, level)
        return self.network.decode(h, context, x, sigma)

    def moved(self, h: Tensor, level: int) -> Tensor:
        """h - gamma B dL/dh, the shape of h."""
        with torch.enable_grad():
            h = h.detach().requires_grad_()
            loss = sum(
                distance(predictor.at(h.flatten(1), level) / self.temperature, target)
                for predictor, target in self.predictors
            )
            (gradient,) = torch.autograd.grad(loss, h)
        return h.detach() - self.gamma * len(h) * gradient


def distance(logits: Tensor, target: tuple[float, ...]) -> Tensor:
    """sum_k (q_k - p_k)^2 / p_k of the batch's mean prediction q, from logits (B, G): a number."""
    p = logits.new_tensor(target)
    return ((logits.softmax(1).mean(0) - p) ** 2 / p).sum()


def fit_predictors(
    network,
    attributes: Sequence[Attribute],
    levels: Tensor,
    draw,
    *,
    hidden: int,
    config: TrainingConfig,
    seed: int,
) -> tuple[tuple[tuple[Predictor, tuple[float, ...]], ...], list]:
    """A predictor for each attribute, with its target, and the losses of the last one's training.

    draw: denoiser -> samples (n, *shape), by whatever sampler guidance will be used with. The samples of the
    frozen network are named by each attribute's classifier (pseudo-labels); their h at each of the levels, which
    must be inner ones of the sampler's grid, is what the predictors read. An ADP trained on noised data instead
    of the sampler's own way fails.
    """
    bottlenecks = []
    x = draw(Trajectories(network, levels, bottlenecks))
    by_level = [[h for level, h in bottlenecks if level == i] for i in range(len(levels))]
    # Heun asks twice at an inner level: at the end of a step, and with the mended point at the next one's start. A
    # sampler may fill its last batch and cut it off again.
    h = torch.stack([torch.cat(calls[1::2])[: len(x)] for calls in by_level], 1)  # (n, L, F)
    predictors, losses = [], []
    for attribute in attributes:
        labels = attribute.classifier.predict(x)  # (n,)
        n_groups = attribute.classifier.n_groups
        predictor = seeded(Predictor, levels, h, n_groups, hidden, seed=seed)
        weights = len(labels) / n_groups / torch.bincount(labels, minlength=n_groups).clamp_min(1)  # (G,)
        loss = partial(balanced_loss, group_weights=weights)
        losses = train(predictor, loss, Weighted(h, labels), Clean(), config, seed)
        predictors.append((predictor, tuple(attribute.target)))
    return tuple(predictors), losses


@dataclass
class DistributionGuidance(Baseline):
    """See the module. target: wanted shares, () for equal ones. others: more attributes to distribute at once.

    temperature: T. gamma: strength of the guidance. hidden: width of the predictor's hidden layer, 0 for none.
    sigmas: guided levels, in units of the data's standard deviation. seeds: trajectories to learn from.
    """

    target: tuple[float, ...] = ()
    others: tuple[Attribute, ...] = ()
    temperature: float = 2.0
    gamma: float = 100.0
    hidden: int = 0
    sigmas: tuple[float, float] = (0.6, 6.0)
    seeds: int = 3000
    steps: int = 500

    name: ClassVar[str] = "adp"
    label: ClassVar[str] = "distribution guidance"
    requires: ClassVar[Requires] = Requires(classifier=True, target=True, base="dsm_bias")

    def __post_init__(self):
        if self.target:
            refuse_no_distribution(self.target)
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature={self.temperature}: must be positive and finite")
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"gamma={self.gamma}: must be finite and not negative")
        for name, least in {"hidden": 0, "seeds": 1, "steps": 1}.items():
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise ValueError(f"{name}={value!r}: must be a whole number, at least {least}")

    def check(self, problem: Problem, base=None) -> None:
        super().check(problem, base)
        self.attributes(problem)

    def check_budget(self, budget: Budget) -> None:
        self.levels(budget.sampling_steps, 1.0)

    def levels(self, steps: int, sigma_data: float) -> Tensor:
        """The guided ones of the sampler's inner levels, (L,). Where it has none there it is a ValueError."""
        grid = sampling_grid(steps, sigma_data)[1:-1]
        low, high = (s * sigma_data for s in self.sigmas)
        levels = grid[(grid >= low) & (grid <= high)]
        if not len(levels):
            raise ValueError(
                f"sampling_steps={steps}, sigmas={tuple(self.sigmas)}: no level of the sampler is guided; must be more "
                f"levels, or a wider range of them"
            )
        return levels

    def attributes(self, problem: Problem) -> tuple[Attribute, ...]:
        """The problem's own groups, then the others. A target of another number of groups is a ValueError."""
        target = tuple(self.target) or (1 / len(problem.group_names),) * len(problem.group_names)
        return (Attribute(problem.classifier, target), *self.others)

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        began = time.perf_counter()
        levels = self.levels(budget.sampling_steps, problem.sigma_data)
        attributes = self.attributes(problem)

        def samples_of(denoiser):
            return draw(problem, denoiser, self.seeds, seed + 10_000, budget.sampling_steps)

        config = TrainingConfig(steps=self.steps, batch_size=256, lr=1e-2, log_every=50)
        fitted, losses = fit_predictors(
            base, attributes, levels, samples_of, hidden=self.hidden, config=config, seed=seed
        )
        log = Log(
            steps=self.steps * len(fitted),
            seconds=time.perf_counter() - began,
            losses=losses,
            extra_parameters=sum(size(predictor) for predictor, _ in fitted),
        )
        return log, Guided(base, fitted, self.temperature, self.gamma)
