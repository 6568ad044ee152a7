"""The density ratio r(x, sigma) = p_data^sigma / p_bias^sigma: learning it, and what an objective needs of it.

A discriminator d(x, sigma) = P(reference | x, sigma), fitted by binary cross-entropy on balanced noisy batches,
has r = d / (1 - d): log r is its logit (paper, eq. 9). Anything with `log_ratio(x, sigma)` is a ratio here, the
exact one of gaussians.py too.
"""

import copy
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm.auto import tqdm

from tiwlib import devices
from tiwlib.batches import flip_half
from tiwlib.networks import RatioNet
from tiwlib.noise import expand
from tiwlib.runs import digest, sha256


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
class Above:
    """A ratio that is left out at small noise: log r = 0 at sigma <= threshold, so w = 1 and no correction."""

    ratio: object
    threshold: float

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r(x, sigma) where sigma > threshold, else 0, shape (B,)."""
        return torch.where(sigma > self.threshold, self.ratio.log_ratio(x, sigma), 0.0)


@dataclass(frozen=True)
class Scaled:
    """A ratio whose logit is `factor` times another's: above 1 it is too sure of itself, below 1 too shy."""

    ratio: object
    factor: float

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """factor log r(x, sigma), shape (B,)."""
        return self.factor * self.ratio.log_ratio(x, sigma)


@dataclass(frozen=True)
class FittedRatio:
    """A ratio network ready for use, and how it came about.

    history: one row per evaluation with step, train_loss, heldout_loss (nats; log 2 = 0.693 knows nothing).
    heldout: one row per held-out noisy sample with sigma, log_ratio and label (1 reference, 0 biased).
    step: the step whose weights were kept.
    """

    network: RatioNet
    history: pd.DataFrame
    heldout: pd.DataFrame
    step: int

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r(x, sigma), shape (B,)."""
        return self.network.log_ratio(x, sigma)

    @property
    def heldout_loss(self) -> float:
        """Held-out cross-entropy of the kept weights, in nats."""
        return float(self.history.set_index("step").heldout_loss[self.step])


def split_off(n: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """round(share n) indices of range(n) to hold out, sorted; at least one, and not all."""
    held = round(share * n)
    if not 1 <= held < n:
        raise ValueError(f"holdout={share}: of {n} samples it must hold out at least one and leave one")
    return np.sort(rng.permutation(n)[:held])


def noisy_batch(
    biased, reference, among: tuple, half: int, law, device, flip: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """x (2 half, ...), sigma and label (2 half,): as many biased (0) as reference (1) samples, noise added.

    among: the indices of both sets that may be drawn, with replacement, by torch's global generator. flip: mirror
    half of the images.
    """
    rows = [torch.from_numpy(indices)[torch.randint(len(indices), (half,))] for indices in among]
    x0 = torch.cat([biased[rows[0]], reference[rows[1]]])
    x0 = devices.sent(x0, torch.device(device))
    x0 = flip_half(x0) if flip else x0
    sigma = law.sample(2 * half, device)
    label = (torch.arange(2 * half, device=device) >= half).float()
    return x0 + expand(sigma, x0) * torch.randn_like(x0), sigma, label


def fit(
    network: RatioNet,
    biased,
    reference,
    law,
    *,
    steps: int = 1000,
    batch_size: int = 256,
    lr: float = 1e-3,
    weight_decay: float = 0.3,
    holdout: float = 0.2,
    held: tuple[np.ndarray, np.ndarray] | None = None,
    stop: str = "last",
    flip: bool = False,
    seed: int = 0,
    evaluations: int = 20,
    heldout_draws: int = 4096,
    device="cpu",
) -> FittedRatio:
    """Fit a time-dependent ratio (law: LogNormal) or the time-independent one (law: Clean).

    biased, reference: datasets of samples, indexable by an index tensor, (N, ...) each. A share `holdout` of
    both never enters training, or else the indices `held` of both; its loss is taken `evaluations` times, always
    on the same noise. The learning rate falls to zero over `steps` by a cosine. stop: "last" keeps the weights
    of the last step, "best" those with the lowest held-out loss (notebook 03 compares the two). flip: mirror half
    of the images, as the training of the score network that the ratio is for does.
    """
    if stop not in ("best", "last"):
        raise ValueError(f"stop={stop!r}: must be 'best' or 'last'")
    if steps < 1 or batch_size < 2:
        raise ValueError(f"steps={steps}, batch_size={batch_size}: must be at least 1 and 2")
    if len(reference) == 0 or len(biased) == 0:
        raise ValueError(f"{len(biased)} biased and {len(reference)} reference samples: both sets need some")
    rng = np.random.default_rng(seed)
    held = held or tuple(split_off(len(d), holdout, rng) for d in (biased, reference))
    train = tuple(np.setdiff1d(np.arange(len(d)), h) for d, h in zip((biased, reference), held, strict=True))
    optimiser = torch.optim.AdamW(network.to(device).parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    evaluate_at = set(np.linspace(0, steps, evaluations + 1).round().astype(int).tolist())
    rows, losses, kept, lowest = [], [], None, math.inf
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heldout = noisy_batch(biased, reference, held, heldout_draws // 2, law, device, flip)
        bar = tqdm(range(steps + 1), desc="ratio", unit="step", leave=False)
        for step in bar:
            if step in evaluate_at:
                loss = heldout_loss(network, *heldout)
                if not math.isfinite(loss):
                    raise FloatingPointError(f"the ratio's held-out loss is {loss} at step {step}")
                rows.append((step, torch.stack(losses).mean().item() if losses else math.nan, loss))
                bar.set_postfix(heldout=f"{loss:.4f}")
                if stop == "last" or loss < lowest:
                    kept, lowest = (step, copy.deepcopy(network.state_dict())), loss
                losses = []
            if step == steps:
                break
            x, sigma, label = noisy_batch(biased, reference, train, batch_size // 2, law, device, flip)
            loss = binary_cross_entropy_with_logits(network.log_ratio(x, sigma), label)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
    network.load_state_dict(kept[1])
    network.requires_grad_(False).eval()
    x, sigma, label = heldout
    columns = {"sigma": sigma, "log_ratio": network.log_ratio(x, sigma), "label": label}
    return FittedRatio(
        network,
        pd.DataFrame(rows, columns=["step", "train_loss", "heldout_loss"]),
        pd.DataFrame({name: values.cpu().double().numpy() for name, values in columns.items()}),
        kept[0],
    )


@torch.no_grad()
def heldout_loss(network: RatioNet, x: Tensor, sigma: Tensor, label: Tensor) -> float:
    """Cross-entropy in nats, dropout off; the network is back in training mode afterwards."""
    network.eval()
    loss = binary_cross_entropy_with_logits(network.log_ratio(x, sigma), label).item()
    network.train()
    return loss


def code() -> str:
    """Hash of the code that a fitted ratio depends on, to name a kept one by."""
    folder = Path(__file__).parent
    names = ("ratio", "networks", "bodies", "noise", "batches")
    return digest([sha256(folder / f"{name}.py") for name in names])


def fit_once(path: Path, network: RatioNet, *data, **options) -> FittedRatio:
    """`fit`, kept at `path` (safetensors): a later call with the same path loads it. The path names the fit.

    Of several processes that ask at once, one fits and the others wait for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            fitted = fit(network, *data, **options)
            tensors = {f"network.{name}": value.cpu() for name, value in network.state_dict().items()}
            tensors["history"] = torch.from_numpy(fitted.history.to_numpy(float, copy=True))
            tensors["heldout"] = torch.from_numpy(fitted.heldout.to_numpy(float, copy=True))
            tensors["step"] = torch.tensor(fitted.step)
            partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
            save_file({name: value.contiguous() for name, value in tensors.items()}, partial)
            partial.replace(path)
    kept = load_file(path)
    prefix = "network."
    network.load_state_dict({n.removeprefix(prefix): v for n, v in kept.items() if n.startswith(prefix)})
    network.to(options.get("device", "cpu")).requires_grad_(False).eval()
    history = pd.DataFrame(kept["history"].cpu(), columns=["step", "train_loss", "heldout_loss"])
    heldout = pd.DataFrame(kept["heldout"].cpu(), columns=["sigma", "log_ratio", "label"])
    return FittedRatio(network, history.astype({"step": int}), heldout, int(kept["step"]))
