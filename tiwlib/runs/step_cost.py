"""What a step costs: seconds by the clock, bytes that wait for the backward pass."""

import time
from collections import Counter
from collections.abc import Callable

import torch


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


class _Kept:
    """A tensor that autograd keeps. Its storage is alive in `users` until the graph lets the last one go."""

    def __init__(self, tensor: torch.Tensor, users: Counter):
        storage = tensor.untyped_storage()
        self.tensor, self.users, self.key = tensor, users, (storage.data_ptr(), storage.nbytes())
        users[self.key] += 1

    def __del__(self):
        self.users[self.key] -= 1


def kept_bytes(call: Callable) -> int:
    """Most bytes that autograd keeps at one time for a backward pass while `call` runs, weights included.

    Storages count once however many tensors share them. What is freed on the way, as a ratio's graph is once its
    gradient is taken, does not add to what comes after it.
    """
    users, most = Counter(), 0

    def pack(tensor: torch.Tensor) -> _Kept:
        nonlocal most
        kept = _Kept(tensor, users)
        most = max(most, sum(size for (_, size), count in users.items() if count > 0))
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
        call()
    return most
