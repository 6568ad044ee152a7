"""The project's own training and sampling as a benchmark runs them: a few steps at a time, on random images."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tiwlib import devices, objectives, runs, sampling, training
from tiwlib.batches import Observed
from tiwlib.data import Subset
from tiwlib.estimators.clusters import GaussianClusters
from tiwlib.networks import DenoiserNet, RatioNet, image_denoiser, image_ratio, paper_denoiser
from tiwlib.noise import LogNormal, sampling_grid


def gflop(network, channels: int, size: int, backward: bool = False) -> float:
    """Operations an image: forward, or forward and backward; a multiplication and an addition count as two."""
    x, sigma = torch.empty(1, channels, size, size, device="meta"), torch.ones(1, device="meta")
    with FlopCounterMode(display=False) as counter:
        out = network(x, sigma)
        if backward:
            out.sum().backward()
    return counter.get_total_flops() / 1e9


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A denoiser of notebook 05's runs on its images, and how a benchmark feeds it.

    parameters: the file under notebooks/params that its runs take, "" for the notebook's defaults. batch: images a
    step on a GPU and on a CPU. steps: between two looks at the clock on a CPU. observed: images that the posterior
    ratio sums over, those of both sets, but never more than a long tail's. compiled: on a GPU.
    """

    channels: int
    size: int
    parameters: str
    batch: tuple[int, int]
    steps: int
    observed: int
    compiled: bool = False

    def denoiser(self) -> DenoiserNet:
        p = runs.defaults("05_train")
        if self.parameters:
            p |= yaml.safe_load((runs.PROJECT / "notebooks" / "params" / self.parameters).read_text())
        if p["network"] == "paper":
            return paper_denoiser(self.channels, self.size, p["dropout"])
        return image_denoiser(self.channels, self.size, p["width"], p["dropout"])

    def ratio(self) -> RatioNet:
        return image_ratio(self.channels)

    def posterior(self) -> GaussianClusters:
        images = torch.rand(self.observed, self.channels, self.size, self.size) * 2 - 1
        n = self.observed
        return GaussianClusters(images, 0.5, torch.full((n,), 1 / n), torch.zeros(n))

    def gflop(self, build, backward: bool) -> float:
        """Operations an image of the network that `build` makes, counted on torch's meta device."""
        with torch.device("meta"):
            return gflop(build(), self.channels, self.size, backward)


WORKLOADS = {
    "digits": Workload(channels=1, size=8, parameters="", batch=(1024, 128), steps=10, observed=550),
    "mnist": Workload(
        channels=1, size=28, parameters="05_mnist.yaml", batch=(512, 32), steps=4, observed=10_500
    ),
    "paper": Workload(
        channels=3,
        size=32,
        parameters="05_cifar10.yaml",
        batch=(256, 4),
        steps=1,
        observed=10_500,
        compiled=True,
    ),
    "celeba": Workload(
        channels=3,
        size=64,
        parameters="05_celeba.yaml",
        batch=(128, 2),
        steps=1,
        observed=10_500,
        compiled=True,
    ),
}


POSTERIOR = (
    "_posterior"  # ends the name of a method whose ratio is the posterior mean over the observed images
)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def trainer(
    workload: Workload, method: str, precision: str, batch: int, steps: int, compiled: bool
) -> tuple[nn.Module, Iterator[training.Progress]]:
    """A denoiser and its training loop, which reports after every `steps` steps, when the device has done them."""
    name = method.removesuffix(POSTERIOR)
    denoiser, ratio = workload.denoiser(), workload.ratio() if name == method else workload.posterior()
    accelerator = devices.accelerator()
    shape = (workload.channels, workload.size, workload.size)
    images = np.random.default_rng(0).integers(0, 256, (2000, *shape), np.uint8)
    sets = [Subset(images, rows).on(accelerator.device) for rows in (np.arange(1500), np.arange(1500, 2000))]
    if compiled:
        devices.compile_backbone(denoiser)
        if name == method:  # the other has no network
            devices.compile_backbone(ratio)
    ratio.to(accelerator.device).requires_grad_(False).eval()
    loss = objectives.method(name).loss(ratio)
    config = training.TrainingConfig(
        steps=10**9, batch_size=batch, flip=True, precision=precision, log_every=steps
    )
    observed = Observed(*sets, 0.5)
    return denoiser, training.train(denoiser, loss, observed, LogNormal(), config, accelerator=accelerator)


def evaluate(
    denoiser: nn.Module, workload: Workload, precision: str, batch: int, device: torch.device
) -> float:
    """Seconds of two levels of the sampler, three evaluations of the denoiser."""
    grid = sampling_grid(2).to(device)
    x = torch.randn(batch, workload.channels, workload.size, workload.size, device=device) * grid[0]
    denoiser.eval()
    wait(device)
    began = time.perf_counter()
    with torch.no_grad(), devices.autocast(device, precision):
        sampling.heun(denoiser, x, grid)
    wait(device)
    seconds = time.perf_counter() - began
    denoiser.train()
    return seconds
