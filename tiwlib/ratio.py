"""The density ratio r(x, sigma) = p_data^sigma / p_bias^sigma: learning it, and what an objective needs of it.

A discriminator d(x, sigma) = P(reference | x, sigma), fitted by binary cross-entropy on balanced noisy batches,
has r = d / (1 - d): log r is its logit (paper, eq. 9). Anything with `log_ratio(x, sigma)` is a ratio here, the
exact one of gaussians.py too.
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm.auto import tqdm

from tiwlib.networks import RatioNet
from tiwlib.noise import expand


def log_weight(log_ratio: Tensor, reference_fraction: float) -> Tensor:
    """log w = log r - log(pi r + 1 - pi), shape of log_ratio: p_data over the density the batch is drawn from.

    reference_fraction: pi in [0, 1], the share of reference samples in the batch. pi = 0 gives w = r,
    pi = 1/2 gives w = 2 d (paper, eq. 36-37), pi = 1 gives w = 1.
    """
    pi = reference_fraction
    if not 0 <= pi <= 1:
        raise ValueError(f"reference_fraction={pi}: must lie in [0, 1]")
    log_pi, log_rest = (math.log(p) if p > 0 else -math.inf for p in (pi, 1 - pi))
    return log_ratio - torch.logaddexp(log_ratio + log_pi, torch.full_like(log_ratio, log_rest))


def weight_and_correction(
    ratio, x: Tensor, sigma: Tensor, reference_fraction: float
) -> tuple[Tensor, Tensor]:
    """w(x, sigma) (B,) and grad_x log w(x, sigma) (B, ...), by one backward pass through the ratio.

    grad log w = grad log r (1 - pi) / (pi r + 1 - pi) comes out of differentiating log_weight. Both are
    constants to the caller: no gradient reaches the ratio network or x.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        log_w = log_weight(ratio.log_ratio(x, sigma), reference_fraction)  # (B,)
        (correction,) = torch.autograd.grad(log_w.sum(), x)
    return log_w.detach().exp(), correction


@dataclass(frozen=True)
class FittedRatio:
    """What `fit` returns: the network that is used, and its course.

    history: one row per evaluation with step, train_loss, heldout_loss (nats; log 2 = 0.693 knows nothing).
    step: the step whose weights were kept.
    """

    network: RatioNet
    history: pd.DataFrame
    step: int

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r(x, sigma), shape (B,)."""
        return self.network.log_ratio(x, sigma)

    @property
    def heldout_loss(self) -> float:
        """Held-out cross-entropy of the kept weights, in nats."""
        return float(self.history.set_index("step").heldout_loss[self.step])


def split_off(n: int, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint index sets of range(n): the rest, and round(share n) held out; both keep at least one."""
    held = round(share * n)
    if not 1 <= held < n:
        raise ValueError(f"holdout={share}: of {n} samples it must hold out at least one and leave one")
    order = rng.permutation(n)
    return np.sort(order[held:]), np.sort(order[:held])


def draw(dataset, indices: np.ndarray, n: int) -> Tensor:
    """n samples of dataset[indices] with replacement, by torch's global generator: (n, ...)."""
    return dataset[torch.from_numpy(indices)[torch.randint(len(indices), (n,))]]


def bce(network: RatioNet, biased: Tensor, reference: Tensor, sigma: Tensor) -> Tensor:
    """Balanced cross-entropy of P(reference | x, sigma) on noisy samples; sigma (2 B,) for both halves."""
    x0 = torch.cat([biased, reference])  # (2 B, ...)
    label = torch.cat([torch.zeros(len(biased)), torch.ones(len(reference))]).to(x0)  # (2 B,)
    x = x0 + expand(sigma, x0) * torch.randn_like(x0)
    return binary_cross_entropy_with_logits(network.log_ratio(x, sigma), label)


def fit(
    network: RatioNet,
    biased,
    reference,
    law,
    *,
    steps: int = 2000,
    batch_size: int = 256,
    lr: float = 1e-3,
    weight_decay: float = 1e-2,
    holdout: float = 0.2,
    stop: str = "best",
    seed: int = 0,
    evaluations: int = 40,
    heldout_draws: int = 4096,
    progress: bool = True,
) -> FittedRatio:
    """Fit a time-dependent ratio (law: LogNormal, VP) or the time-independent one (law: Clean).

    biased, reference: datasets of samples, indexable by an index tensor, (N, ...) each. A share `holdout` of
    both never enters training; its loss is taken `evaluations` times, always on the same noise.
    stop: "best" keeps the weights with the lowest held-out loss, "last" those of the last step.
    """
    if stop not in ("best", "last"):
        raise ValueError(f"stop={stop!r}: must be 'best' or 'last'")
    if len(reference) == 0 or len(biased) == 0:
        raise ValueError(f"{len(biased)} biased and {len(reference)} reference samples: both sets need some")
    rng = np.random.default_rng(seed)
    train_b, held_b = split_off(len(biased), holdout, rng)
    train_r, held_r = split_off(len(reference), holdout, rng)
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    evaluate_at = set(np.linspace(0, steps, evaluations + 1).round().astype(int).tolist())
    rows, kept, losses = [], None, []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        n = heldout_draws // 2
        held = draw(biased, held_b, n), draw(reference, held_r, n), law.sample(2 * n)

        def heldout_loss() -> float:
            network.eval()
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                loss = bce(network, *held).item()
            network.train()
            return loss

        bar = tqdm(range(steps + 1), desc="ratio", unit="step", disable=not progress, leave=False)
        for step in bar:
            if step in evaluate_at:
                row = {
                    "step": step,
                    "train_loss": torch.stack(losses).mean().item() if losses else math.nan,
                    "heldout_loss": heldout_loss(),
                }
                losses = []
                bar.set_postfix(heldout=f"{row['heldout_loss']:.4f}")
                if (
                    stop == "last"
                    or kept is None
                    or row["heldout_loss"] < min(r["heldout_loss"] for r in rows)
                ):
                    kept = step, copy.deepcopy(network.state_dict())
                rows.append(row)
            if step == steps:
                break
            half = batch_size // 2
            loss = bce(
                network, draw(biased, train_b, half), draw(reference, train_r, half), law.sample(2 * half)
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
    step, weights = kept
    network.load_state_dict(weights)
    network.requires_grad_(False).eval()
    return FittedRatio(network, pd.DataFrame(rows), step)
