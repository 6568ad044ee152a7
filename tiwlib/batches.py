"""What a training step draws: a batch of D_obs, noise levels and noise, by generators seeded for that step."""

import numpy as np
import torch
from torch import Tensor

from tiwlib.noise import NoiseDistribution


class Observed:
    """D_obs = D_bias u D_ref, drawn with a share pi of reference samples.

    biased, reference: datasets indexable by an index tensor, (N, ...) each; either may be empty only where pi
    never asks for it. reference_fraction: pi in [0, 1], or None for the share that the reference set has.
    labels: a number for each sample of both sets, ((Nb,), (Nr,)), which then comes with every batch.
    """

    def __init__(self, biased, reference, reference_fraction: float | None = None, labels=None):
        if len(reference) == 0:
            raise ValueError("the reference set is empty: every method needs at least one reference sample")
        if reference_fraction is None:
            reference_fraction = len(reference) / (len(biased) + len(reference))
        if not 0 <= reference_fraction <= 1:
            raise ValueError(f"reference_fraction={reference_fraction}: must lie in [0, 1]")
        if len(biased) == 0 and reference_fraction < 1:
            raise ValueError(f"the biased set is empty: reference_fraction={reference_fraction} must be 1")
        self.biased, self.reference, self.reference_fraction = biased, reference, reference_fraction
        self.labels = labels and tuple(torch.as_tensor(part) for part in labels)

    def batch(self, n: int) -> Tensor | tuple[Tensor, Tensor]:
        """n samples, each a reference one with probability pi, by torch's global generator: (n, ...).

        With labels it is a pair, the samples and their labels (n,).
        """
        from_reference = torch.rand(n) < self.reference_fraction  # (n,)
        n_ref = int(from_reference.sum())
        rows = [
            (i, torch.randint(len(dataset), (count,)))
            for i, (dataset, count) in enumerate(((self.biased, n - n_ref), (self.reference, n_ref)))
            if count
        ]
        x0 = torch.cat([(self.biased, self.reference)[i][at] for i, at in rows])
        return x0 if self.labels is None else (x0, torch.cat([self.labels[i][at] for i, at in rows]))


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device. From the CPU to a GPU without waiting for what the GPU has yet to do."""
    if tensor.device.type == "cpu" and device.type == "cuda":
        tensor = tensor.pin_memory()  # a copy from other memory waits
    return tensor.to(device, non_blocking=True)


def seed_step(seed: int, step: int, process: int) -> None:
    """Seed torch's global generators for one step of one process.

    torch's CPU generator keeps 32 bits of a seed, so the three numbers are mixed down to as many: in a run of
    40,000 steps some two may meet by chance. (torch.manual_seed does the same and takes a millisecond for it.)
    """
    mixed = int(np.random.SeedSequence([seed, step, process]).generate_state(1)[0])
    torch.default_generator.manual_seed(mixed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(mixed)


def flip_half(x0: Tensor) -> Tensor:
    """Mirror each image (B, C, H, W) left to right with probability one half."""
    mirrored = sent(torch.rand(len(x0)) < 0.5, x0.device)
    return torch.where(mirrored[:, None, None, None], x0.flip(-1), x0)


def draw(
    observed, n: int, noise_distribution: NoiseDistribution, device: torch.device, flip: bool = False
) -> tuple[Tensor, ...]:
    """x0 (n, ...), sigma (n,), noise (n, ...), and labels (n,) if `observed.batch(n)` is a pair of x0 and labels."""
    drawn = observed.batch(n)
    x0, *labels = (sent(part, device) for part in (drawn if isinstance(drawn, tuple) else (drawn,)))
    x0 = flip_half(x0) if flip else x0
    return x0, noise_distribution.sample(n, device), torch.randn_like(x0), *labels
