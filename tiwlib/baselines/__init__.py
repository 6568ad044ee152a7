"""The other ways to debias a diffusion model, beside TIW-DSM, behind one interface and one evaluation.

baseline = baselines.baseline("adp", gamma=30.0)
problem = baselines.problem("low-high", seed=0)
measures, samples = baselines.measured_once(baseline, problem, budget, seed=0)

A new baseline is a file of its own, and a line in BASELINES.
"""

from functools import partial

from tiwlib import objectives
from tiwlib.baselines.ambient import Ambient
from tiwlib.baselines.comparison import chosen, measured_once, summary, tune
from tiwlib.baselines.ddm import DdmBalanced, DdmReleased
from tiwlib.baselines.domain_guidance import DomainGuidance
from tiwlib.baselines.evaluation import evaluate, relative_cost
from tiwlib.baselines.fine_tuning import FineTuning
from tiwlib.baselines.guidance import Attribute, DistributionGuidance
from tiwlib.baselines.interface import Baseline, Budget, Log, Requires
from tiwlib.baselines.invdiff import InvDiff
from tiwlib.baselines.models import Trained, base_of, trained_once
from tiwlib.baselines.problems import ORDER, problem
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
    "fine_tuning": FineTuning,
    "ambient": Ambient,
    "domain_guidance": DomainGuidance,
}


def baseline(name: str, **options) -> Baseline:
    """The baseline of that name with its own options; an unknown name or option, or a bad value, is a ValueError."""
    if name not in BASELINES:
        raise ValueError(f"method={name!r}: must be one of {', '.join(BASELINES)}")
    try:
        return BASELINES[name](**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"method={name!r}: {error}") from None


__all__ = [
    "BASELINES",
    "ORDER",
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
    "measured_once",
    "problem",
    "relative_cost",
    "summary",
    "trained_once",
    "tune",
]
