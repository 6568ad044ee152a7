"""What only a GPU can show; `pytest -m gpu` on a machine that has one."""

import re
from itertools import islice

import pytest
import torch
from diffusers.training_utils import EMAModel

from tiwlib import devices, objectives, sampling, training
from tiwlib.batches import Observed, draw
from tiwlib.data.images import OnDevice, Subset
from tiwlib.networks import image_denoiser, image_ratio, seeded
from tiwlib.noise import LogNormal

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def trained(device, precision="fp32", compiled=False, checkpoint=None, reports=None, **schedule):
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
    plan = training.Schedule(
        **{"steps": 20, "batch_size": 32, "precision": precision, "flip": True, **schedule}
    )
    options = {"ratio": ratio, "accelerator": accelerator, "checkpoint": checkpoint}
    loop = training.train(
        denoiser, objectives.method("tiw_dsm"), Observed(*sets, 0.5), LogNormal(), plan, **options
    )
    return denoiser, torch.cat([r.losses for r in islice(loop, reports)]), sets


def test_a_run_that_was_stopped_goes_on(tmp_path):
    """Adam is fused here, and wants its moments laid out in memory as the weights are."""
    schedule = {"log_every": 5, "checkpoint_minutes": 0}
    _, whole, _ = trained("cuda", **schedule)
    trained("cuda", checkpoint=tmp_path / "run", reports=2, **schedule)
    _, resumed, _ = trained("cuda", checkpoint=tmp_path / "run", **schedule)
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
    method = objectives.method("tiw_dsm")

    def step():
        drawn = draw(observed, 32, noise_distribution, accelerator.device, flip=True)
        loss = lambda *parts: method.loss(denoiser, *parts, ratio, 0.5, 1.0)  # noqa: E731
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
