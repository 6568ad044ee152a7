"""The density ratio r(x, sigma) = p_data^sigma / p_bias^sigma, learned by a discriminator as in the paper.

A discriminator d(x, sigma) = P(reference | x, sigma), fitted on balanced noisy batches, has r = d / (1 - d): log r is
its logit (eq. 9). At all noise levels it is the ratio of TIW-DSM, on clean samples the time-independent of IW-DSM.
"""

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm.auto import tqdm

from tiwlib.batches import flip_half, sent
from tiwlib.networks import RatioNet
from tiwlib.noise import NoiseDistribution, expand


@dataclass(frozen=True, kw_only=True)
class RatioConfig:
    """How a ratio network is fitted. A value that makes no sense is a ValueError that names it.

    steps, batch_size: half of a batch are reference samples. lr falls to zero over the steps by a cosine.
    weight_decay: AdamW's. holdout: the share of both sets that never enters training. stop: "last" takes the weights
    of the last step, "best" those with the lowest held-out loss. flip: mirror half of the images, as the denoiser's
    training does. evaluations: how often the held-out loss is taken, on the same `heldout_draws` noisy samples.
    """

    steps: int = 1000
    batch_size: int = 256
    lr: float = 1e-3
    weight_decay: float = 0.3
    holdout: float = 0.2
    stop: str = "last"
    flip: bool = False
    evaluations: int = 20
    heldout_draws: int = 4096

    def __post_init__(self):
        for name, least in {"steps": 1, "batch_size": 2, "evaluations": 1, "heldout_draws": 2}.items():
            if getattr(self, name) < least:
                raise ValueError(f"ratio_{name}={getattr(self, name)}: must be at least {least}")
        if not (0 < self.lr < math.inf):
            raise ValueError(f"ratio_lr={self.lr}: must be positive and finite")
        if not (0 <= self.weight_decay < math.inf):
            raise ValueError(f"ratio_weight_decay={self.weight_decay}: must be finite and not negative")
        if self.stop not in ("best", "last"):
            raise ValueError(f"stop={self.stop!r}: must be 'best' or 'last'")


@dataclass(frozen=True, kw_only=True)
class FittedRatio:
    """A ratio network ready for use, and how it came about.

    history: a row for each evaluation: step, train_loss, heldout_loss (nats; log 2 = 0.693 is chance level). heldout: a
    row for each held-out noisy sample: sigma, log_ratio, label (1 reference, 0 biased). step: whose weights are used.
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
        """Held-out cross-entropy of the weights in use, in nats."""
        return float(self.history.set_index("step").heldout_loss[self.step])

    def tensors(self) -> dict[str, Tensor]:
        """All that a cache must keep: contiguous tensors on the CPU, by name."""
        tensors = {f"network.{name}": value.cpu() for name, value in self.network.state_dict().items()}
        tensors["history"] = torch.from_numpy(self.history.to_numpy(float, copy=True))
        tensors["heldout"] = torch.from_numpy(self.heldout.to_numpy(float, copy=True))
        tensors["step"] = torch.tensor(self.step)
        return {name: value.contiguous() for name, value in tensors.items()}

    @classmethod
    def from_tensors(cls, network: RatioNet, tensors: dict[str, Tensor]) -> "FittedRatio":
        """The inverse of `tensors`, into a network of the same shape, frozen and on the CPU."""
        weights = {n.removeprefix("network."): v for n, v in tensors.items() if n.startswith("network.")}
        network.load_state_dict(weights)
        network.requires_grad_(False).eval()
        history = pd.DataFrame(tensors["history"], columns=["step", "train_loss", "heldout_loss"])
        heldout = pd.DataFrame(tensors["heldout"], columns=["sigma", "log_ratio", "label"])
        step = int(tensors["step"])
        return cls(network=network, history=history.astype({"step": int}), heldout=heldout, step=step)


def split_off(n: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """round(share n) indices of range(n) to hold out, sorted; at least one, and not all."""
    held = round(share * n)
    if not 1 <= held < n:
        raise ValueError(f"holdout={share}: of {n} samples it must hold out at least one and leave one")
    return np.sort(rng.permutation(n)[:held])


def noisy_batch(
    biased, reference, among: tuple, half: int, noise_distribution: NoiseDistribution, device, flip=False
) -> tuple[Tensor, Tensor, Tensor]:
    """x (2 half, ...), sigma and label (2 half,): as many biased (0) as reference (1) samples, noise added.

    among: the indices of both sets that may be drawn, with replacement, by torch's global generator. flip: mirror
    half of the images.
    """
    rows = [torch.from_numpy(indices)[torch.randint(len(indices), (half,))] for indices in among]
    x0 = sent(torch.cat([biased[rows[0]], reference[rows[1]]]), torch.device(device))
    x0 = flip_half(x0) if flip else x0
    sigma = noise_distribution.sample(2 * half, device)
    label = (torch.arange(2 * half, device=device) >= half).float()
    return x0 + expand(sigma, x0) * torch.randn_like(x0), sigma, label


@dataclass
class _History:
    """The evaluations so far, and the weights that `stop` asks for, with their step and their held-out log ratios."""

    stop: str
    rows: list[tuple[int, float, float]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)  # of the steps since the last evaluation
    lowest: float = math.inf
    step: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    log_ratio: Tensor | None = None

    def evaluate(self, step: int, network: RatioNet, x: Tensor, sigma: Tensor, label: Tensor) -> float:
        """Take the held-out loss (nats) and remember the weights. One that is not finite is a FloatingPointError."""
        log_ratio = evaluated(network, x, sigma)
        loss = binary_cross_entropy_with_logits(log_ratio, label).item()
        if not math.isfinite(loss):
            raise FloatingPointError(f"the ratio's held-out loss is {loss} at step {step}")
        self.rows.append((step, torch.stack(self.losses).mean().item() if self.losses else math.nan, loss))
        if self.stop == "last" or loss < self.lowest:
            self.lowest, self.step, self.log_ratio = loss, step, log_ratio
            self.weights = copy.deepcopy(network.state_dict())
        self.losses = []
        return loss


def fit(
    network: RatioNet,
    biased,
    reference,
    noise_distribution: NoiseDistribution,
    *,
    held: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
    device="cpu",
    **options,
) -> FittedRatio:
    """Fit a time-dependent ratio (noise_distribution: LogNormal) or the time-independent one (Clean).

    biased, reference: datasets of samples, (N, ...) each, indexable by an index tensor; empty ones are a ValueError.
    held: the indices of both that never enter training, in place of a drawn share. options: fields of RatioConfig.
    """
    config = RatioConfig(**options)
    if len(reference) == 0 or len(biased) == 0:
        raise ValueError(f"{len(biased)} biased and {len(reference)} reference samples: both sets need some")
    rng = np.random.default_rng(seed)
    held = held or tuple(split_off(len(d), config.holdout, rng) for d in (biased, reference))
    train = tuple(np.setdiff1d(np.arange(len(d)), h) for d, h in zip((biased, reference), held, strict=True))
    weights = network.to(device).parameters()
    optimiser = torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    evaluate_at = set(np.linspace(0, config.steps, config.evaluations + 1).round().astype(int).tolist())
    noised = (noise_distribution, device, config.flip)
    history = _History(config.stop)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heldout = noisy_batch(biased, reference, held, config.heldout_draws // 2, *noised)
        history.evaluate(0, network, *heldout)
        bar = tqdm(range(1, config.steps + 1), desc="ratio", unit="step", leave=False)
        for step in bar:
            x, sigma, label = noisy_batch(biased, reference, train, config.batch_size // 2, *noised)
            loss = binary_cross_entropy_with_logits(network.log_ratio(x, sigma), label)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cosine.step()
            history.losses.append(loss.detach())
            if step in evaluate_at:
                bar.set_postfix(heldout=f"{history.evaluate(step, network, *heldout):.4f}")
    network.load_state_dict(history.weights)
    network.requires_grad_(False).eval()
    columns = {"sigma": heldout[1], "log_ratio": history.log_ratio, "label": heldout[2]}
    return FittedRatio(
        network=network,
        history=pd.DataFrame(history.rows, columns=["step", "train_loss", "heldout_loss"]),
        heldout=pd.DataFrame({name: values.cpu().double().numpy() for name, values in columns.items()}),
        step=history.step,
    )


@torch.no_grad()
def evaluated(network: RatioNet, x: Tensor, sigma: Tensor, at_once: int = 2**20) -> Tensor:
    """log r(x, sigma), (B,), dropout off; the network is back in training mode then. at_once: numbers in a cache."""
    network.eval()
    parts = (both.split(max(1, at_once // x[0].numel())) for both in (x, sigma))
    log_ratio = torch.cat([network.log_ratio(*part) for part in zip(*parts, strict=True)])
    network.train()
    return log_ratio
