"""`plain`: the paper's estimator, a network that tells noisy reference from noisy biased samples (ratio.fit)."""

from dataclasses import dataclass, fields

from tiwlib import ratio
from tiwlib.networks import RatioNet
from tiwlib.ratio import FittedRatio, RatioConfig


@dataclass(frozen=True, kw_only=True)
class PlainConfig(RatioConfig):
    """As RatioConfig. dropout, features: of problem.ratio_network, whose usual dropout None is."""

    steps: int = 150
    batch_size: int = 128
    lr: float = 3e-4
    dropout: float | None = None
    features: str = ""


def untrained(problem, base, config: PlainConfig) -> RatioNet:
    """The problem's ratio network."""
    return problem.ratio_network(config.dropout, config.features)


def fit(network: RatioNet, problem, base, config: PlainConfig, *, seed: int = 0, device="cpu") -> FittedRatio:
    """Cross-entropy on balanced noisy batches."""
    how = {field.name: getattr(config, field.name) for field in fields(RatioConfig)}
    return ratio.fit(
        network,
        problem.biased,
        problem.reference,
        problem.noise_distribution,
        seed=seed,
        device=device,
        **how,
    )
