"""The host runs ahead of the device: a step of training or sampling reads nothing back from it.

Tensors of torch's meta device hold no values. Whatever asks for one (`.item()`, `.cpu()`, `if x > 0`) raises, and so
does an operation between such a tensor and one of the CPU: what passes here neither waits for a GPU nor forgets to
move something there.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tiwlib import sampling, training
from tiwlib.batches import Observed
from tiwlib.data.images import OnDevice, Subset
from tiwlib.measures.classifier import moved
from tiwlib.networks import image_denoiser, image_ratio
from tiwlib.noise import LogNormal, sampling_grid
from tiwlib.objectives import METHODS

META = torch.device("meta")


class OneMeta:
    """accelerate's view of one process on the meta device; what is reduced for a report comes back as zeros."""

    device, num_processes, process_index, is_main_process = META, 1, 0, True

    def prepare(self, network):
        return network

    def backward(self, loss):
        loss.backward()

    def no_sync(self, network):
        return nullcontext()

    def reduce(self, tensor, _):
        return torch.zeros(tensor.shape)


@pytest.fixture
def sets(monkeypatch):
    monkeypatch.setattr(training, "refuse_divergence", lambda *_: None)  # a report looks at the losses
    monkeypatch.setattr(
        sampling, "refuse_divergence", lambda *_: None
    )  # and the end of sampling at the samples
    monkeypatch.setattr(training.devices, "autocast", lambda *_: nullcontext())  # there is none for meta
    images = np.zeros((64, 3, 16, 16), np.uint8)
    return [OnDevice(Subset(images, rows), META) for rows in np.arange(64).reshape(2, 32)]


@pytest.mark.parametrize("look", [torch.Tensor.item, torch.Tensor.cpu, bool])
def test_whoever_looks_is_caught(look):
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        look(torch.zeros((), device=META))
    with pytest.raises(RuntimeError, match="meta"):
        torch.zeros(2, device=META) * torch.zeros(2)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("micro_batch", [0, 8])
def test_training_steps_read_nothing_back(sets, name, micro_batch):
    denoiser, ratio = image_denoiser(3, 16, 8), image_ratio(3, 8).to(META).requires_grad_(False).eval()
    options = {"batch_size": 16, "flip": True, "micro_batch": micro_batch, "log_every": 3}
    config = training.TrainingConfig(steps=6, **options)
    loss = METHODS[name].loss(ratio if METHODS[name].ratio else None, 0.5)
    observed = Observed(*sets, 0.5)
    reports = training.train(denoiser, loss, observed, LogNormal(), config, accelerator=OneMeta())
    assert next(reports).step == 3


def test_a_sampling_step_reads_nothing_back(sets):
    denoiser, grid = image_denoiser(3, 16, 8).to(META), sampling_grid(4).to(META)
    assert sampling.heun(denoiser, torch.zeros(2, 3, 16, 16, device=META), grid).device == META


def test_the_classifier_s_augmentation_reads_nothing_back():
    assert moved(torch.zeros(4, 3, 32, 32, device=META)).device == META
