"""The other ways to debias a diffusion model, beside TIW-DSM, behind one interface and one evaluation.

method = siblings.method("adp", gamma=30.0)
problem = siblings.problem("low-high", seed=0)
base = siblings.base_of(method, problem, budget, seed=0)     a model trained before, where the method asks for one
log = method.fit(problem, base, budget, seed=0)
measures, samples = siblings.evaluate(problem, method.denoiser(), log)
"""

from functools import partial

from tiwlib.baselines.comparison import bars, chosen, summary, tune
from tiwlib.baselines.ddm import DdmBalanced, DdmReleased
from tiwlib.baselines.evaluation import evaluate, relative_cost
from tiwlib.baselines.guidance import Attribute, DistributionGuidance
from tiwlib.baselines.interface import Budget, Log, Requires, Sibling
from tiwlib.baselines.invdiff import InvDiff
from tiwlib.baselines.models import Trained, trained_once
from tiwlib.baselines.problems import Problem, problem
from tiwlib.baselines.ratio_guidance import RatioGuidance

METHODS = {
    "dsm_bias": partial(Trained, "dsm_bias", "DSM(bias)", Requires()),
    "dsm_ref": partial(Trained, "dsm_ref", "DSM(ref)", Requires(reference=True)),
    "dsm_obs": partial(Trained, "dsm_obs", "DSM(obs)", Requires(reference=True)),
    "iw_dsm": partial(Trained, "iw_dsm", "IW-DSM", Requires(reference=True)),
    "tiw_dsm": partial(Trained, "tiw_dsm", "TIW-DSM", Requires(reference=True)),
    "ratio_guidance": RatioGuidance,
    "adp": DistributionGuidance,
    "invdiff": InvDiff,
    "invdiff_oracle": partial(InvDiff, oracle=True),
    "ddm_released": DdmReleased,
    "ddm_balanced": DdmBalanced,
}


def method(name: str, **options) -> Sibling:
    """The method of that name with its own options; an unknown name or option is a ValueError that lists them."""
    if name not in METHODS:
        raise ValueError(f"method={name!r}: must be one of {', '.join(METHODS)}")
    try:
        return METHODS[name](**options)
    except TypeError as error:
        raise ValueError(f"method={name!r}: {error}") from None


def base_of(method: Sibling, problem: Problem, budget: Budget, seed: int):
    """The base model that a method requires, trained at most once for all methods; None where it requires none."""
    if method.requires.base is None:
        return None
    return trained_once(problem, method.requires.base, budget, seed)[0]


__all__ = [
    "METHODS",
    "Attribute",
    "Budget",
    "Log",
    "Problem",
    "Requires",
    "Sibling",
    "bars",
    "base_of",
    "chosen",
    "evaluate",
    "method",
    "problem",
    "relative_cost",
    "summary",
    "trained_once",
    "tune",
]
