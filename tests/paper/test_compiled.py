"""Compiled networks: what they compute, on the CPU, where it takes a minute or two to build them."""

import shutil
from functools import partial

import pytest
import torch
from test_gpu import computes_with_the_average, trained

from tiwlib.networks import point_denoiser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here"),
]


def test_compiled_networks_train_as_the_plain_ones_do():
    """TIW-DSM: the ratio's gradient at x goes through its compiled backbone, twice when a batch comes in parts.

    float32 on the CPU: fused kernels sum in another order, and 20 steps of Adam let that grow.
    """
    (_, plain, _), (_, compiled, _) = trained("cpu"), trained("cpu", compiled=True, micro_batch=16)
    assert torch.allclose(compiled, plain, rtol=1e-4)
    assert torch._dynamo.utils.counters["graph_break"] == {}, "one graph, or the compiler gains little"


def test_a_compiled_denoiser_computes_with_the_average_that_is_copied_in():
    """Training ends with ema.copy_to: a graph that had taken the weights for constants would sample without it."""
    computes_with_the_average(partial(point_denoiser, 2, 0.5, 16), torch.randn(8, 2), "cpu")
