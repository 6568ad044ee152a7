"""Compiled networks: what they compute, on the CPU, where it takes a minute or two to build them."""

import shutil

import pytest
import torch
from test_gpu import trained


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_compiled_networks_train_as_the_plain_ones_do():
    """TIW-DSM: the ratio's gradient at x goes through its compiled backbone, twice when a batch comes in parts.

    float32 on the CPU: fused kernels sum in another order, and 20 steps of Adam let that grow.
    """
    (_, plain, _), (_, compiled, _) = trained("cpu"), trained("cpu", compiled=True, micro_batch=16)
    assert torch.allclose(compiled, plain, rtol=1e-4)
    assert torch._dynamo.utils.counters["graph_break"] == {}, "one graph, or the compiler gains little"
