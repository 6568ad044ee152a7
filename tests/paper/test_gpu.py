"""What only a GPU can show; `pytest -m gpu` on a machine that has one."""

import re
from functools import partial
from itertools import islice

import pytest
import torch
from diffusers.training_utils import EMAModel

from tiwlib import devices, objectives, sampling, training
from tiwlib.batches import Observed, draw
from tiwlib.data.images import OnDevice, Subset
from tiwlib.networks import image_denoiser, image_ratio, seeded
from tiwlib.noise import LogNormal
from tiwlib.runs.states import Checkpoint
from tiwlib.training import TrainingConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def trained(device, *, precision="fp32", compiled=False, folder=None, reports=None, **options):
    """A small denoiser after TIW-DSM on random images, the losses so far (steps,), and the two sets on the device."""
    images = torch.randint(
        0, 256, (64, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    accelerator = devices.accelerator(device)
    sets = [
        Subset(images.numpy(), rows.numpy()).on(accelerator.device) for rows in torch.arange(64).split(32)
    ]
    denoiser, ratio = seeded(image_denoiser, 3, 16, 16, seed=0), seeded(image_ratio, 3, 16, seed=1)
    ratio.to(accelerator.device).requires_grad_(False).eval()
    if compiled:
        devices.compile_backbone(denoiser)
        devices.compile_backbone(ratio)
    config = TrainingConfig(
        **{"steps": 20, "batch_size": 32, "precision": precision, "flip": True, **options}
    )
    loss = objectives.method("tiw_dsm").loss(ratio)
    checkpoint = Checkpoint(folder) if folder else None
    loop = training.train(
        denoiser,
        loss,
        Observed(*sets, 0.5),
        LogNormal(),
        config,
        accelerator=accelerator,
        checkpoint=checkpoint,
    )
    return denoiser, torch.cat([r.losses for r in islice(loop, reports)]), sets


@torch.no_grad()
def computes_with_the_average(build, x, device):
    """A compiled denoiser equals the plain one before and after an average of weights is copied into both."""
    plain, compiled = (seeded(build, seed=0).to(device).eval() for _ in range(2))
    average = EMAModel(seeded(build, seed=1).to(device).parameters())
    devices.compile_backbone(compiled)
    x = x.to(device)
    sigma = torch.ones(len(x), device=device)
    before = compiled(x, sigma)
    assert torch.allclose(before, plain(x, sigma), atol=1e-2 if x.is_cuda else 1e-5)
    for denoiser in (plain, compiled):
        average.copy_to(denoiser.parameters())
    assert torch.allclose(compiled(x, sigma), plain(x, sigma), atol=1e-2 if x.is_cuda else 1e-5)
    assert (compiled(x, sigma) - before).abs().max() > 5e-2


def test_a_compiled_denoiser_computes_with_the_average_that_is_copied_in():
    computes_with_the_average(partial(image_denoiser, 3, 16, 16), torch.randn(4, 3, 16, 16), "cuda")


def test_a_run_that_was_stopped_goes_on(tmp_path):
    """Adam is fused here, and wants its moments laid out in memory as the weights are."""
    options = {"log_every": 5, "checkpoint_minutes": 0}
    _, whole, _ = trained("cuda", **options)
    trained("cuda", folder=tmp_path / "run", reports=2, **options)
    _, resumed, _ = trained("cuda", folder=tmp_path / "run", **options)
    assert len(resumed) == 20 and torch.allclose(resumed, whole, rtol=1e-2)


def test_images_lie_on_the_device_and_bfloat16_and_the_compiler_change_little():
    _, plain, sets = trained("cuda")
    assert all(isinstance(part, OnDevice) and part.images.is_cuda for part in sets)
    for options in ({"precision": "bf16"}, {"compiled": True}, {"precision": "bf16", "compiled": True}):
        _, losses, _ = trained("cuda", **options)
        assert torch.allclose(losses, plain, rtol=0.1), options  # 20 steps drift apart by more than rounding
        assert losses[0].item() == pytest.approx(plain[0].item(), rel=2e-2)


def test_a_step_does_not_wait_for_the_device():
    """Warm steps with synchronisation forbidden: drawing, ratio, loss, gradient, Adam, average."""
    denoiser, _, sets = trained("cuda")
    denoiser.requires_grad_(True).train()
    accelerator, observed, noise_distribution = devices.accelerator("cuda"), Observed(*sets, 0.5), LogNormal()
    ratio = seeded(image_ratio, 3, 16, seed=1).to("cuda").requires_grad_(False).eval()
    optimiser = torch.optim.Adam(denoiser.parameters(), fused=True)
    ema = EMAModel(denoiser.parameters(), foreach=True)
    loss = partial(objectives.method("tiw_dsm").loss(ratio), denoiser)

    def step():
        drawn = draw(observed, 32, noise_distribution, accelerator.device, flip=True)
        training.learn(accelerator, denoiser, optimiser, loss, drawn, micro_batch=16)
        ema.step(denoiser.parameters())

    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_samples_are_those_of_the_cpu():
    denoiser, _, _ = trained("cuda")
    on_gpu = sampling.sample(denoiser, 4, (3, 16, 16), steps=8, device="cuda")
    on_cpu = sampling.sample(denoiser.cpu(), 4, (3, 16, 16), steps=8)
    assert torch.allclose(on_gpu, on_cpu, atol=2e-2)


def test_memory_that_runs_out_names_what_fits():
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        with pytest.raises(MemoryError, match="do: pass micro_batch=") as e:
            trained("cuda", batch_size=65536)
        fits = int(re.search(r"micro_batch=(\d+)", str(e.value))[1])
        trained("cuda", batch_size=65536, micro_batch=fits, steps=2)
        with pytest.raises(MemoryError):  # and it is not named far too small
            trained("cuda", batch_size=65536, micro_batch=2 * fits, steps=2)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
