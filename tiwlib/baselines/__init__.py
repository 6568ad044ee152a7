"""The other ways to debias a diffusion model, beside TIW-DSM, behind one interface and one evaluation.

baseline = baselines.baseline("adp", gamma=30.0)
problem = baselines.problem("low-high", seed=0)
base = baselines.base_of(baseline, problem, budget, seed=0)     a model trained before, where one is required
log = baseline.fit(problem, base, budget, seed=0)
measures, samples = baselines.evaluate(problem, baseline.denoiser(), log)

A new baseline is a file of its own, and a line in BASELINES.
"""

from functools import partial

from tiwlib import objectives
from tiwlib.baselines.comparison import chosen, summary, tune
from tiwlib.baselines.ddm import DdmBalanced, DdmReleased
from tiwlib.baselines.evaluation import evaluate, relative_cost
from tiwlib.baselines.guidance import Attribute, DistributionGuidance
from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.invdiff import InvDiff
from tiwlib.baselines.models import Trained, trained_once
from tiwlib.baselines.problems import problem
from tiwlib.baselines.ratio_guidance import RatioGuidance
from tiwlib.data.problems import Problem

OURS = ("dsm_ref", "dsm_obs", "iw_dsm", "tiw_dsm")
BASELINES = {
    "dsm_bias": partial(Trained, "dsm_bias", "DSM(bias)", Requires()),
    **{
        name: partial(Trained, name, objectives.METHODS[name].label, Requires(reference=True))
        for name in OURS
    },
    "ratio_guidance": RatioGuidance,
    "adp": DistributionGuidance,
    "invdiff": InvDiff,
    "invdiff_oracle": partial(InvDiff, oracle=True),
    "ddm_released": DdmReleased,
    "ddm_balanced": DdmBalanced,
}


def baseline(name: str, **options) -> Baseline:
    """The baseline of that name with its own options; an unknown name or option is a ValueError that lists them."""
    if name not in BASELINES:
        raise ValueError(f"method={name!r}: must be one of {', '.join(BASELINES)}")
    try:
        return BASELINES[name](**options)
    except TypeError as error:
        raise ValueError(f"method={name!r}: {error}") from None


def base_of(baseline: Baseline, problem: Problem, budget: Budget, seed: int):
    """The base model that a baseline requires, trained at most once for all of them; None where it requires none."""
    if baseline.requires.base is None:
        return None
    return trained_once(problem, baseline.requires.base, budget, seed)[0]


__all__ = [
    "BASELINES",
    "Attribute",
    "Baseline",
    "Budget",
    "Log",
    "Problem",
    "Requires",
    "base_of",
    "baseline",
    "chosen",
    "evaluate",
    "problem",
    "relative_cost",
    "summary",
    "trained_once",
    "tune",
]
