"""Domain guidance (Zhong et al. 2025, arXiv 2504.01521): away from the model of all images, towards the reference's.

    D_w(x, sigma) = D_obs(x, sigma) + w (D_ref(x, sigma) - D_obs(x, sigma))

w = 0 is DSM(obs) and w = 1 is DSM(ref); between them the scores are mixed, beyond 1 the step is prolonged, as by
classifier-free guidance. In the paper D_ref is the base model trained on; here it is the row DSM(ref), trained from
nothing, so nothing is trained anew.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.models import size, trained_once
from tiwlib.data.problems import Problem
from tiwlib.objectives import Denoiser


@dataclass(frozen=True)
class Guided:
    """D_w(x, sigma) of the two denoisers."""

    observed: Denoiser
    reference: Denoiser
    w: float

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        observed = self.observed(x, sigma)
        return observed + self.w * (self.reference(x, sigma) - observed)


@dataclass
class DomainGuidance(Baseline):
    """See the module. w: any number; samples that diverge under a large one are refused when they are drawn."""

    w: float = 1.5

    name: ClassVar[str] = "domain_guidance"
    label: ClassVar[str] = "domain guidance"
    requires: ClassVar[Requires] = Requires(reference=True, base="dsm_obs")
    tried: ClassVar[dict[str, list]] = {"w": [0.5, 0.75, 1.25, 1.5, 2.0]}  # 1 is DSM(ref), a row of its own

    def __post_init__(self):
        if not math.isfinite(self.w):
            raise ValueError(f"w={self.w}: must be finite")

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        reference, log = trained_once(problem, "dsm_ref", budget, seed)
        extra = {"extra_parameters": size(reference), "evaluations": 2}
        return Log(steps=log.steps, seconds=log.seconds, losses=log.losses, **extra), Guided(
            base, reference, self.w
        )
