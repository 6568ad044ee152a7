"""The loss of samples whose set a ratio has not seen: what every estimator reports beside its ratio."""

import numpy as np
import pandas as pd
import torch

from tiwlib.noise import NoiseDistribution
from tiwlib.objectives import Ratio
from tiwlib.ratio import FittedRatio, noisy_batch


def judged(
    ratio: Ratio,
    sets: tuple,
    among: tuple,
    draws: int,
    noise_distribution: NoiseDistribution,
    *,
    seed: int,
    device="cpu",
) -> pd.DataFrame:
    """sigma, log_ratio and label of `draws` noisy samples, half of each set. among: the indices that may be drawn."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        x, sigma, label = noisy_batch(*sets, among, draws // 2, noise_distribution, device)
        columns = {"sigma": sigma, "log_ratio": ratio.log_ratio(x, sigma), "label": label}
    return pd.DataFrame({name: values.cpu().double().numpy() for name, values in columns.items()})


def cross_entropy(heldout: pd.DataFrame) -> float:
    """In nats, both sets weighing the same; log 2 = 0.693 is chance level."""
    sign = 2 * heldout.label - 1
    return float(np.logaddexp(0, -sign * heldout.log_ratio).groupby(heldout.label).mean().mean())


def fitted(network, heldout: pd.DataFrame, losses: list[float] = ()) -> FittedRatio:
    """The frozen network as a FittedRatio. losses: of the steps of its training, where there was one."""
    last = float(np.mean(losses[-50:])) if len(losses) else np.nan
    row = {"step": [len(losses)], "train_loss": [last], "heldout_loss": [cross_entropy(heldout)]}
    network.requires_grad_(False).eval()
    return FittedRatio(network=network, history=pd.DataFrame(row), heldout=heldout, step=len(losses))
