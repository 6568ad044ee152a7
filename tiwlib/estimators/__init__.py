"""Estimators of the density ratio, chosen by one name: `plain` is the paper's, the others live on fewer references.

`oracle` is no method: it is given the true groups, and stands in tables as what is possible.

    base = ...                                                    a plain denoiser, DSM(obs), where one is needed
    fitted = estimators.fit("posterior", problem, base, seed=0)   a FittedRatio: log_ratio(x, sigma), heldout_loss

A problem offers biased, reference, shape, sigma_data, noise_distribution and ratio_network, as data.problems.Problem.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tiwlib.estimators import distilled, features, mixture, oracle, plain, posterior
from tiwlib.networks import DenoiserNet, seeded
from tiwlib.ratio import FittedRatio


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """One way to a ratio. config: its options. requires_base: whether it needs a plain denoiser.

    untrained: (problem, base, config) -> network.
    fit: (network, problem, base, config, *, seed, device) -> FittedRatio.
    """

    config: type
    untrained: Callable
    fit: Callable[..., FittedRatio]
    requires_base: bool


ESTIMATORS = {
    name: Estimator(config=config, untrained=module.untrained, fit=module.fit, requires_base=requires_base)
    for name, module, config, requires_base in (
        ("plain", plain, plain.PlainConfig, False),
        ("features", features, features.FeaturesConfig, True),
        ("mixture", mixture, mixture.MixtureConfig, False),
        ("distilled", distilled, distilled.DistilledConfig, True),
        ("posterior", posterior, posterior.PosteriorConfig, True),
        ("oracle", oracle, oracle.OracleConfig, False),
    )
}


def estimator(name: str) -> Estimator:
    """The estimator of that name; an unknown one is a ValueError that lists them."""
    if name not in ESTIMATORS:
        raise ValueError(f"ratio={name!r}: must be one of {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name]


def fit(
    name: str, problem, base: DenoiserNet | None = None, *, seed: int = 0, device="cpu", **options
) -> FittedRatio:
    """The ratio of a problem. base: DSM(obs) on its samples, frozen here. options: of the estimator's config.

    Unknown names and options, a missing base, one of other samples, and sets too small are ValueErrors.
    """
    network, config = _network(name, problem, base, seed, options)
    return estimator(name).fit(network, problem, base, config, seed=seed, device=device)


def restore(name: str, problem, base: DenoiserNet | None, tensors: dict, **options) -> FittedRatio:
    """What `fit` has given, from its tensors(), on the CPU."""
    network, _ = _network(name, problem, base, 0, options)
    return FittedRatio.from_tensors(network, tensors)


def _network(name, problem, base, seed, options):
    chosen = estimator(name)
    unknown = options.keys() - chosen.config.__dataclass_fields__.keys()
    if unknown:
        raise ValueError(
            f"{', '.join(sorted(unknown))}: no option of ratio={name!r}; it has "
            f"{', '.join(chosen.config.__dataclass_fields__)}"
        )
    if len(problem.reference) == 0 or len(problem.biased) == 0:
        raise ValueError(
            f"{len(problem.biased)} biased and {len(problem.reference)} reference samples: both sets need some"
        )
    if chosen.requires_base and base is None:
        raise ValueError(f"base=None: ratio={name!r} needs a plain denoiser, DSM(obs) on the same samples")
    if base is not None:
        refuse_other(base, problem)
    return seeded(chosen.untrained, problem, base, config := chosen.config(**options), seed=seed), config


@torch.no_grad()
def refuse_other(base: DenoiserNet, problem) -> None:
    """A denoiser of samples of another shape or scale is a ValueError."""
    if base.sigma_data != problem.sigma_data:
        raise ValueError(
            f"base: its sigma_data is {base.sigma_data}, that of the samples {problem.sigma_data}"
        )
    device = next(base.parameters()).device
    try:
        x = torch.zeros(1, *problem.shape, device=device)
        same = base.eval()(x, torch.ones(1, device=device)).shape == x.shape
    except RuntimeError:  # torch's own message is about a layer
        same = False
    if not same:
        raise ValueError(
            f"base: a denoiser of other samples than these, which have the shape {problem.shape}"
        )
