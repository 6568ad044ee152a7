"""Ratio guidance (discriminator guidance, Kim et al. 2023): the ratio's gradient at every sampling step.

D'(x, sigma) = D_obs(x, sigma) + strength sigma^2 grad_x log w(x, sigma), with the same ratio network that
TIW-DSM learns from, and w the ratio to the density of D_obs. At strength 1 it has TIW-DSM's target: nothing is
trained anew, but each step asks the ratio network, forward and backward.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.models import experiment, size
from tiwlib.data.problems import Problem
from tiwlib.noise import expand
from tiwlib.objectives import Denoiser, Ratio, weight_and_correction


@dataclass(frozen=True)
class Guided:
    """D'(x, sigma) of a denoiser and a ratio; reference_fraction: pi of what the denoiser was trained on."""

    network: Denoiser
    ratio: Ratio
    reference_fraction: float
    strength: float = 1.0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        _, grad_log_w = weight_and_correction(self.ratio, x, sigma, self.reference_fraction)  # (B, ...)
        return self.network(x, sigma) + self.strength * expand(sigma, x) ** 2 * grad_log_w


@dataclass
class RatioGuidance(Baseline):
    """See the module. strength: factor of the correction; 1 is the closed form."""

    strength: float = 1.0

    name: ClassVar[str] = "ratio_guidance"
    label: ClassVar[str] = "ratio guidance"
    requires: ClassVar[Requires] = Requires(reference=True, base="dsm_obs")

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        run = experiment(problem, "tiw_dsm", budget, seed)  # for its ratio alone
        ratio = run.ratio()
        natural = experiment(problem, self.requires.base, budget, seed).reference_fraction
        log = Log(
            steps=budget.ratio_steps,
            seconds=run.costs["ratio"]["seconds"],
            extra_parameters=size(ratio.network),
            evaluations=2,
        )
        return log, Guided(base, ratio, natural, self.strength)
