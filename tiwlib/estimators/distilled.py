"""`distilled`: a clean ratio r0 becomes a time-dependent one by soft labels, r(x, sigma) = E_bias[r0(x0) | x].

L = -E_bias[r0 log d(x, sigma) + log(1 - d(x, sigma))] has d / (1 - d) = r. (Never fit log r0: by Jensen's
inequality its mean is too small.) The half-and-half mixture of both sets has the density p_bias (1 + r) / 2, so the
same L is, up to a factor, the cross-entropy of its noisy samples with the soft labels d0 = r0 / (1 + r0).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm.auto import tqdm

from tiwlib.estimators import graph, heldout
from tiwlib.networks import RatioNet
from tiwlib.noise import NoiseDistribution, expand
from tiwlib.ratio import FittedRatio


@dataclass(frozen=True, kw_only=True)
class DistilledConfig(graph.GraphConfig):
    """steps, batch_size, lr, weight_decay: of the network, whose rate falls to zero by a cosine.

    dropout: of the network; None is the problem's usual one, 0.5 for images.
    """

    steps: int = 1000
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.3
    dropout: float | None = 0.0

    def __post_init__(self):
        super().__post_init__()
        for name, least in {"steps": 1, "batch_size": 2}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")


def soft_label_loss(logit: Tensor, log_r0: Tensor) -> Tensor:
    """-(d0 log d + (1 - d0) log(1 - d)), d0 = r0 / (1 + r0), of samples of the half-and-half mixture: (B,)."""
    return binary_cross_entropy_with_logits(logit, log_r0.sigmoid(), reduction="none")


def untrained(problem, base, config: DistilledConfig) -> RatioNet:
    """The plain ratio's network: a step of TIW-DSM costs what it costs with that one."""
    return problem.ratio_network(config.dropout)


def fit(
    network: RatioNet, problem, base, config: DistilledConfig, *, seed: int = 0, device="cpu"
) -> FittedRatio:
    """The clean ratio on the denoiser's features, out of fold, distilled into the network.

    heldout: the observed samples without noise, each with the clean ratio of fits that have not seen its label.
    """
    clean = graph.clean_ratio(problem, base, config, seed=seed, device=device)
    losses = distil(network, clean, problem.noise_distribution, config, seed=seed, device=device)
    return heldout.fitted(network, clean.heldout, losses)


def distil(
    network: RatioNet,
    clean: graph.CleanRatio,
    noise_distribution: NoiseDistribution,
    config: DistilledConfig,
    *,
    seed: int = 0,
    device="cpu",
) -> list[float]:
    """Fit the network to the soft labels of noisy samples, half of each set; returns the loss of each step."""
    how = {"lr": config.lr, "weight_decay": config.weight_decay}
    optimiser = torch.optim.AdamW(network.to(device).parameters(), **how)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    sizes = torch.bincount(clean.label.long(), minlength=2)
    weight = 1 / sizes[clean.label.long()].double()  # (N,)
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in tqdm(range(config.steps), desc="distilling", unit="step", leave=False):
            rows = torch.multinomial(weight, config.batch_size, replacement=True)
            x0, log_r0 = clean.x0[rows].to(device), clean.log_ratio[rows].to(device, clean.x0.dtype)
            sigma = noise_distribution.sample(len(rows), device)
            x = x0 + expand(sigma, x0) * torch.randn_like(x0)
            loss = soft_label_loss(network.log_ratio(x, sigma), log_r0).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
    return losses
