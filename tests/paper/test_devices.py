"""Devices that are not there, memory that runs out, number formats."""

import weakref
from types import SimpleNamespace

import pytest
import torch
from two_d_training import CONFIG, loss_of, points, run

from tiwlib import devices
from tiwlib.training import TrainingConfig

NOT_ENOUGH = (
    "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate"
)


class Small:
    """A ratio whose memory holds a number of samples, another one after the first step."""

    def __init__(self, holds, later=None):
        self.holds, self.later = holds, later or holds

    def log_ratio(self, x, sigma):
        if len(x) > self.holds:
            raise RuntimeError(NOT_ENOUGH)
        self.holds = self.later
        return x.sum(1) * 0


def trained(ratio, config=CONFIG):
    return list(run(points(), config, loss_of(ratio=ratio)))


def test_out_of_memory_says_what_fits_and_that_works():
    with pytest.raises(
        MemoryError, match=r"32 samples at once do not fit .* cpu, (\d+) do: pass micro_batch=\1,"
    ) as e:
        trained(Small(10))
    fits = int(str(e.value).split("micro_batch=")[1].split(",")[0])
    assert 5 < fits <= 10
    assert len(trained(Small(10), TrainingConfig(steps=4, batch_size=32, micro_batch=fits))) == 1
    with pytest.raises(MemoryError, match="not even one sample fits"):
        trained(Small(0), TrainingConfig(steps=4, batch_size=4))


def test_what_fits_is_told_with_the_optimiser_s_moments_in_memory():
    """Adam's moments are there from the second step on: 16 samples would pass the first step alone."""
    with pytest.raises(MemoryError, match="32 samples at once do not fit .* 10 do"):
        trained(Small(20, later=10))


def test_what_filled_the_memory_is_let_go_before_less_is_tried():
    """Tensors of the frames that failed: on a GPU they would fill it still, and far too little would seem to fit."""
    filled = []

    class Watched:
        def log_ratio(self, x, sigma):
            assert all(tensor() is None for tensor in filled)
            large = torch.zeros(1000)
            filled.append(weakref.ref(large))
            if len(x) > 10:
                raise RuntimeError(NOT_ENOUGH)
            return x.sum(1) * large.sum()

    with pytest.raises(MemoryError, match="32 samples at once do not fit .* 10 do"):
        trained(Watched())
    assert len(filled) > 3


def test_other_errors_pass_as_they_are():
    class Broken:
        def log_ratio(self, x, sigma):
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        trained(Broken())


def test_a_real_allocation_that_fails_is_recognised():
    """torch's own words for memory that is not there: an exabyte."""
    cpu = torch.device("cpu")
    with (
        pytest.raises(MemoryError, match="not even one sample fits"),
        devices.naming_what_fits(lambda n: torch.empty(2**58), 4, cpu),
    ):
        torch.empty(2**58)


@pytest.mark.parametrize("name", ["gpu", "cuda:x"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(ValueError, match=f"device='{name}': must be"):
        devices.accelerator(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="device='cuda:2': this machine has 2 CUDA devices"):
        devices.accelerator("cuda:2")


def test_bfloat16_products_keep_float32_sums():
    """Autocast makes the product bfloat16; what EDM does around it comes out float32."""
    x, product = torch.randn(4, 8), torch.nn.Linear(8, 8)
    with devices.autocast(torch.device("cpu"), "bf16"):
        assert product(x).dtype == torch.bfloat16 and (x + product(x)).dtype == torch.float32
    with devices.autocast(torch.device("cpu"), "fp32"):
        assert product(x).dtype == torch.float32


def test_the_run_is_the_same_with_an_accelerator_given():
    a, b = points(), points()
    list(run(a))
    list(run(b, accelerator=devices.accelerator()))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize(
    ("kind", "deterministic", "searches"),
    [("cuda", False, True), ("cuda", True, False), ("cpu", False, False)],
)
def test_cudnn_tries_its_kernels_on_a_gpu_unless_bits_are_promised(
    monkeypatch, kind, deterministic, searches
):
    made = SimpleNamespace(device=torch.device(kind))
    monkeypatch.setattr(devices, "Accelerator", lambda **_: made)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: deterministic)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not searches)
    assert devices.accelerator() is made
    assert torch.backends.cudnn.benchmark is searches
