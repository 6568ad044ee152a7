"""EDM's deterministic Heun sampler: one way to sample, for points and images, learned and exact denoisers."""

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from tiwlib.noise import sampling_grid


def heun(denoiser, x: Tensor, grid: Tensor) -> Tensor:
    """Solve dx/dsigma = (x - D(x; sigma)) / sigma down the grid (Karras et al. 2022, algorithm 1, no churn).

    x: (B, ...), drawn at the level grid[0]; grid: (steps + 1,), descending, ending in 0. Returns (B, ...).
    A denoiser may be a guided one. Samples that diverge are a FloatingPointError that names the first such step.
    """

    def slope(x: Tensor, sigma: Tensor) -> Tensor:
        return (x - denoiser(x, sigma.expand(len(x)))) / sigma

    largest, last = [], len(grid) - 2
    for i, (sigma, below) in enumerate(zip(grid[:-1], grid[1:], strict=True)):
        d = slope(x, sigma)
        euler = x + (below - sigma) * d
        # the last level is 0, where there is no slope; to ask the tensor would make the host wait for the device
        x = x + (below - sigma) * (d + slope(euler, below)) / 2 if i < last else euler
        largest.append(x.flatten(1).norm(dim=1).max() / x[0].numel() ** 0.5)
    refuse_divergence(torch.stack(largest), grid)
    return x


def refuse_divergence(largest: Tensor, grid: Tensor) -> None:
    """Raise FloatingPointError for samples that have diverged, with the step and the level where that began.

    largest: (steps,), the largest root mean square of a sample after each step; grid: (steps + 1,). At the level
    sigma it should be about sqrt(sigma^2 + sigma_data^2). A grid begins at 160 sigma_data, or less: fifty times
    sqrt(sigma^2 + (grid[0] / 40)^2), or no number at all, is divergence. Looked at once, when all steps are
    taken, so that none waits for it.
    """
    usual = (grid[1:] ** 2 + (grid[0] / 40) ** 2).sqrt()
    bad = (~(largest <= 50 * usual)).nonzero()
    if len(bad):
        step = int(bad[0])
        raise FloatingPointError(
            f"samples diverge at step {step} of {len(largest)} (sigma={grid[step].item():.3g}): the largest has a "
            f"root mean square of {largest[step].item():.3g}; a guidance strength, if there is one, is too large"
        )


def starting_noise(indices, shape: tuple[int, ...], seed: int) -> Tensor:
    """Standard normal noise (len(indices), *shape): image i has a generator of its own, whatever the batch.

    NumPy's generators take the pair (seed, i) whole; torch's CPU generator keeps 32 bits of a seed.
    """
    draws = (np.random.default_rng([seed, int(i)]).standard_normal(shape, np.float32) for i in indices)
    return torch.from_numpy(np.stack(list(draws)))


@torch.no_grad()
def sample(
    denoiser,
    n: int,
    shape: tuple[int, ...],
    *,
    steps: int = 18,
    sigma_data: float = 0.5,
    seed: int = 0,
    first: int = 0,
    batch_size: int = 256,
    dtype=torch.float32,
    device="cpu",
) -> Tensor:
    """Samples first, ..., first + n - 1 of a seed: (n, *shape), on the CPU.

    Sample i starts from the noise of (seed, i). Of a denoiser that takes each sample by itself it depends on nothing
    else: not on the batch it came in, nor on the number of processes that share the work, each with its own `first`.
    Distribution guidance looks at the mean of a batch, so there it depends on the others of its batch too. Under
    devices.autocast the network runs in bfloat16, the sampler never. After a first whole batch the last one is filled
    with the samples that come next, which are cut off again: a batch of another size would be compiled anew.
    """
    grid = sampling_grid(steps, sigma_data, dtype=dtype).to(device)
    done = []
    with tqdm(total=n, desc="sampling", unit="img", leave=False) as bar:
        for start in range(first, first + n, batch_size):
            indices = range(start, start + min(batch_size, n))
            x = starting_noise(indices, shape, seed).to(device, dtype) * grid[0]
            done.append(heun(denoiser, x, grid).cpu())
            bar.update(min(batch_size, first + n - start))
    return torch.cat(done)[:n]
