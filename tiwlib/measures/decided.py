"""At which noise levels the group of a sample is decided: what a noisy image still tells of its group.

With equal shares of the G groups, I(g; x) = log G - E[-log p(g | x, sigma)] at each level. The exact posterior gives
the information itself, a learned one a lower bound. A sampler goes down from pure noise: it decides the group where
the information rises.
"""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from tiwlib.backbones import Encoder
from tiwlib.closed_form import EVALUATION_SEED
from tiwlib.networks import RatioNet, seeded
from tiwlib.noise import LogNormal, expand, sampling_grid

SIGMA_MIN, SIGMA_MAX = 0.02, 80.0  # where the oracle is fitted, and asked
DECIDED = (0.9, 0.1)  # parts of the information between which a group is decided


def oracle(
    x0: Tensor, groups: Tensor, *, steps: int = 1500, batch_size: int = 128, lr: float = 2e-3, seed: int = 0
) -> RatioNet:
    """A classifier of noisy images with the true groups: its `logits` are log p(g | x, sigma) up to a constant.

    x0: (N, C, H, W) in [-1, 1]; groups: int64 (N,), each of which is drawn equally often. Noise levels are spread
    evenly in log sigma; the rate falls to zero by a cosine.
    """
    sizes = torch.bincount(groups)
    network = seeded(lambda: RatioNet(Encoder(x0.shape[1], d_out=len(sizes))), seed=seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    weight = 1 / sizes[groups].double()  # (N,)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in tqdm(range(steps), desc="oracle of the groups", unit="step", leave=False):
            rows = torch.multinomial(weight, batch_size, replacement=True)
            sigma = torch.empty(batch_size).uniform_(math.log(SIGMA_MIN), math.log(SIGMA_MAX)).exp()
            x = x0[rows] + expand(sigma, x0[rows]) * torch.randn_like(x0[rows])
            loss = cross_entropy(network.logits(x, sigma), groups[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.requires_grad_(False).eval()


@torch.no_grad()
def information(
    logits: Callable[[Tensor, Tensor], Tensor], x0: Tensor, groups: Tensor, levels: int = 25, draws: int = 1
) -> pd.DataFrame:
    """What noisy samples tell of their group, level by level: columns sigma, information (in [0, 1]), accuracy.

    logits: of (x, sigma), log p(g | x, sigma) up to a constant, (B, G), for equal shares. x0: (N, *shape), which no
    fit has seen; groups: int64 (N,), weighted to equal shares. information: as a share of log G. draws: noises a
    sample, the same at every level.
    """
    x0, groups = x0.repeat(draws, *[1] * (x0.dim() - 1)), groups.repeat(draws)
    sizes = torch.bincount(groups)
    weight = 1 / (len(sizes) * sizes[groups].double())  # (N,), sums to one
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    rows = []
    for level in np.geomspace(SIGMA_MAX, SIGMA_MIN, levels):
        sigma = torch.full((len(x0),), float(level), dtype=x0.dtype)
        parts = zip((x0 + expand(sigma, x0) * noise).split(512), sigma.split(512), strict=True)
        log_p = torch.cat([logits(*part) for part in parts]).double().log_softmax(1)  # (N, G)
        loss = -(weight * log_p.gather(1, groups[:, None])[:, 0]).sum().item()
        accuracy = (weight * (log_p.argmax(1) == groups)).sum().item()
        share = max(0.0, 1 - loss / math.log(len(sizes)))  # a bound that lies below nothing says nothing
        rows.append({"sigma": float(level), "information": share, "accuracy": accuracy})
    return pd.DataFrame(rows)


def where_decided(
    curve: pd.DataFrame, noise_distribution: LogNormal, sigma_data: float, steps: int = 18
) -> dict:
    """Between which levels the group is decided, and what training and sampler spend there.

    curve: from `information`. sigma_high, sigma_low: where the information is a tenth and nine tenths of its largest
    value. training_share: of the training's noise levels that lie between; sampler_levels: of `steps` ones.
    """
    curve = curve.sort_values("sigma")
    part = np.maximum.accumulate(curve.information[::-1])[::-1] / curve.information.max()  # falls with sigma
    low, high = (float(np.exp(np.interp(-level, -part, np.log(curve.sigma)))) for level in DECIDED)
    ends = torch.tensor([low, high], dtype=torch.float64).log()
    below = torch.special.ndtr((ends - noise_distribution.P_mean) / noise_distribution.P_std)
    grid = sampling_grid(steps, sigma_data, dtype=torch.float64)
    return {
        "sigma_low": low,
        "sigma_high": high,
        "training_share": float(below[1] - below[0]),
        "training_share_above": float(1 - below[1]),
        "sampler_levels": int(((grid >= low) & (grid <= high)).sum()),
    }
