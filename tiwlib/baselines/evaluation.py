"""One evaluation for all methods: the same sampler, the same starting noise, the same judge."""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import itertools
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_prc import calculate_precision_recall_full

from tiwlib import sampling
from tiwlib.baselines.interface import Log
from tiwlib.baselines.problems import Problem
from tiwlib.measures import metrics

BATCH = 500  # samples drawn together: what guidance by the batch's mean sees


@dataclass
class Counted:
    """A denoiser that counts the samples it is asked for."""

    denoiser: object
    samples: int = field(default=0, init=False)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.samples += len(x)
        return self.denoiser(x, sigma)


def draw(problem: Problem, denoiser, n: int, seed: int, steps: int) -> Tensor:
    """n samples (n, *shape) of a problem, by the one sampler; sample i starts from the noise of (seed, i)."""
    return sampling.sample(
        denoiser, n, problem.shape, steps=steps, sigma_data=problem.sigma_data, seed=seed, batch_size=BATCH
    )


def frechet(one: Tensor, other: Tensor) -> float:
    """Frechet distance of two sets of features (N, F), in float64."""
    statistics = (fid_features_to_statistics(part.double()) for part in (one, other))
    return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


def pairwise_bias(shares: np.ndarray) -> float:
    """Mean over pairs of groups of the difference of their shares, in [0, 1]: 0 is fair, here to equal shares."""
    return float(np.mean([abs(a - b) for a, b in itertools.combinations(shares, 2)]))


def evaluate(
    problem: Problem,
    denoiser,
    log: Log,
    *,
    n: int = 2000,
    seed: int = 0,
    steps: int = 20,
    target: tuple[float, ...] = (),
) -> tuple[dict, Tensor]:
    """Draw n samples and measure them; returns the measures, all numbers or lists of numbers, and the samples.

    target: the shares that the discrepancy is measured from, () for equal ones. bias, frechet, precision and
    recall are to equal shares whatever the target. group_frechet is None for a group of fewer than 2 samples.
    """
    counted = Counted(denoiser)
    began = time.perf_counter()
    x = draw(problem, counted, n, seed, steps)
    seconds = time.perf_counter() - began
    groups, real_groups = problem.judge.groups(x), problem.judge.groups(problem.heldout)
    features, real = problem.judge.features(x), problem.judge.features(problem.heldout)
    shares = metrics.shares(groups, len(problem.group_names))
    precision, recall = calculate_precision_recall_full(features, real)
    by_group = [
        frechet(features[groups == g], real[real_groups == g]) if (groups == g).sum() > 1 else None
        for g in range(len(shares))
    ]
    distances = torch.cdist(x.flatten(1), problem.biased.flatten(1)).min(1).values
    return {
        "shares": shares.tolist(),
        "minority_share": float(shares[-1]),
        "discrepancy": metrics.fairness_discrepancy(
            shares, np.asarray(target) if target else problem.balanced
        ),
        "bias": pairwise_bias(shares),
        "frechet": frechet(features, real),
        "group_frechet": by_group,
        "precision": precision,
        "recall": recall,
        "nearest": float(distances.mean() / x[0].numel() ** 0.5),
        "extra_parameters": log.extra_parameters,
        "training_steps": log.steps,
        "training_seconds": log.seconds,
        "evaluations": counted.samples * log.evaluations / n,
        "sampling_seconds": seconds,
    }, x


def relative_cost(
    problem: Problem, base, others: dict, *, n: int, steps: int, rounds: int = 5
) -> dict[str, float]:
    """Sampling time of other denoisers over the base's, the median of rounds in which all take turns."""
    ratios = {name: [] for name in others}
    for _ in range(rounds):
        seconds = {}
        for name, denoiser in {"": base, **others}.items():
            began = time.process_time()
            draw(problem, denoiser, n, 0, steps)
            seconds[name] = time.process_time() - began
        for name in others:
            ratios[name].append(seconds[name] / seconds[""])
    return {name: float(np.median(values)) for name, values in ratios.items()}
