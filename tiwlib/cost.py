"""What a step costs: seconds by the clock, bytes that are kept for the backward pass."""

import time
from collections.abc import Callable

import torch
from torch import nn


def seconds(calls: dict[str, Callable], repeats: int = 20) -> dict[str, list[float]]:
    """Wall time of each call, `repeats` times each, in turns: what else the machine does meets all alike.

    The first turn warms up and is not counted.
    """
    found = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if turn:
                found[name].append(time.perf_counter() - began)
    return found


def saved_bytes(call: Callable) -> int:
    """Bytes of all tensors that autograd keeps for a backward pass while `call` runs; storages count once."""
    kept = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        call()
    return sum(size for size, _ in kept.values())


def parameter_bytes(*networks: nn.Module) -> int:
    """Bytes of the parameters of some networks."""
    return sum(p.numel() * p.element_size() for network in networks for p in network.parameters())
