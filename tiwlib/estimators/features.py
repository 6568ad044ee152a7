"""`features`: a head on the frozen bottleneck of a plain denoiser.

log r = c_out (u(sigma)^T phi(h(x, sigma)) + b(sigma)).

DSM(obs) is trained on all that is observed, at all noise levels and without labels of a set: its bottleneck h is a
representation of noisy samples for which no outside weights are needed. The few references decide a small head alone.
"""

import copy
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from tiwlib import ratio
from tiwlib.backbones import embed
from tiwlib.networks import RatioNet
from tiwlib.ratio import FittedRatio, RatioConfig


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig(RatioConfig):
    """The head's fit, as RatioConfig. pool: pixels a side that a bottleneck of images is averaged down to.

    width: of phi and u. dropout: of the pooled features.
    """

    steps: int = 300
    batch_size: int = 128
    pool: int = 2
    width: int = 64
    dropout: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        for name in ("pool", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")


class BottleneckHead(nn.Module):
    """(x, c_noise) -> (B, 1), as a backbone of RatioNet: the denoiser's backbone encodes, and is frozen."""

    EMBEDDING = 32  # numbers that stand for the noise level

    def __init__(self, encoder: nn.Module, features: int, config: FeaturesConfig):
        super().__init__()
        self.encoder, self.pool = encoder.requires_grad_(False).eval(), config.pool
        self.phi = nn.Sequential(
            nn.Dropout(config.dropout), nn.LayerNorm(features), nn.Linear(features, config.width), nn.SiLU()
        )
        self.u = nn.Linear(self.EMBEDDING, config.width)
        self.b = nn.Linear(self.EMBEDDING, 1)

    def train(self, mode: bool = True) -> "BottleneckHead":
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        h = self.encoder.encode(x, c_noise)[0]
        level = embed(c_noise, self.EMBEDDING)  # (B, 32)
        phi = self.phi(pooled(h, self.pool))  # (B, width)
        return (self.u(level) * phi).sum(1, keepdim=True) / phi.shape[1] ** 0.5 + self.b(level)


def pooled(h: Tensor, pool: int) -> Tensor:
    """A bottleneck as one vector: (B, C, H, W) -> (B, C pool^2), or (B, F) as it is."""
    return adaptive_avg_pool2d(h, min(pool, *h.shape[2:])).flatten(1) if h.dim() == 4 else h


def untrained(problem, base, config: FeaturesConfig) -> RatioNet:
    """A head that is new on a copy of the denoiser's encoder."""
    encoder = copy.deepcopy(base.backbone)
    x = problem.reference[torch.arange(1)].cpu()
    h = encoder.cpu().encode(x, torch.zeros(1))[0]
    features = pooled(h, config.pool).shape[1]
    return RatioNet(BottleneckHead(encoder, features, config), problem.sigma_data)


def fit(
    network: RatioNet, problem, base, config: FeaturesConfig, *, seed: int = 0, device="cpu"
) -> FittedRatio:
    """The head by cross-entropy on balanced noisy batches, as the plain ratio."""
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
