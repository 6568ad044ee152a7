"""A short training in two dimensions, for the tests of the loop, of states and of devices."""

import torch

from tiwlib import batches, training
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA, SIGMA_DATA
from tiwlib.networks import point_denoiser, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import METHODS

NOISE_DISTRIBUTION = LogNormal.for_data(SIGMA_DATA)
CONFIG = training.TrainingConfig(steps=30, batch_size=32, log_every=5, checkpoint_minutes=0, ema_half_life=5)


def observed(reference_fraction=0.5):
    generator = torch.Generator().manual_seed(0)
    return batches.Observed(P_BIAS.sample(200, generator), P_DATA.sample(50, generator), reference_fraction)


def points(seed=0):
    """A denoiser of 16 channels."""
    return seeded(point_denoiser, 2, SIGMA_DATA, 16, seed=seed)


def loss_of(method="tiw_dsm", ratio=EXACT_RATIO, alpha=1.0):
    chosen = METHODS[method]
    return chosen.loss(ratio if chosen.ratio else None, 0.5, alpha)


def run(denoiser, config=CONFIG, loss=None, **options):
    """Reports of a training by TIW-DSM with the exact ratio, or by another loss."""
    return training.train(denoiser, loss or loss_of(), observed(), NOISE_DISTRIBUTION, config, **options)


def weights(network):
    """All weights in one vector."""
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def state_names(*steps):
    """Names of the states after these steps."""
    return [f"step-{step:09d}.safetensors" for step in steps]
