"""One evaluation for all methods: the same sampler, the same starting noise, the same judge."""

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tiwlib import sampling
from tiwlib.baselines.interface import Log
from tiwlib.data.problems import Problem
from tiwlib.measures.samples import of_samples
from tiwlib.objectives import Denoiser

BATCH = 500  # samples drawn together: what guidance by the batch's mean sees


@dataclass
class Counted:
    """A denoiser that counts its calls."""

    denoiser: Denoiser
    calls: int = field(default=0, init=False)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.calls += 1
        return self.denoiser(x, sigma)


def draw(problem: Problem, denoiser, n: int, seed: int, steps: int) -> Tensor:
    """n samples (n, *shape) of a problem, by the one sampler; sample i starts from the noise of (seed, i)."""
    return sampling.sample(
        denoiser, n, problem.shape, steps=steps, sigma_data=problem.sigma_data, seed=seed, batch_size=BATCH
    )


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
    """Draw n samples and measure them; returns measures.samples.of_samples and what they cost, and the samples.

    target: the shares that fairness_discrepancy and total_variation are measured from, () for equal ones. The
    other measures are to equal shares whatever the target. evaluations: of networks, for one sample. The nearest
    sample is looked for in both sets, for the reference images are copied first.
    """
    counted = Counted(denoiser)
    began = time.perf_counter()
    x = draw(problem, counted, n, seed, steps)
    seconds = time.perf_counter() - began
    measures = of_samples(
        x,
        judge=problem.judge,
        real=problem.heldout,
        training=problem.biased
        if problem.reference is None
        else torch.cat([problem.biased, problem.reference]),
        target=np.asarray(target) if len(target) else None,
        seed=seed,
    )
    return {
        **measures,
        "extra_parameters": log.extra_parameters,
        "training_steps": log.steps,
        "training_seconds": log.seconds,
        # a sample is in one batch; the last one may be filled with samples that are cut off again
        "evaluations": counted.calls * log.evaluations / math.ceil(n / BATCH),
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
