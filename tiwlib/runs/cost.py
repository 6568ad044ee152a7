"""What a part of a run costs: its seconds, and the most memory that was held meanwhile."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


@contextmanager
def stage(costs: dict, name: str, device: torch.device | str = "cpu") -> Iterator[None]:
    """Put {"seconds", "peak_memory_mb"} of the block under `name` into costs.

    The memory is what tensors took on a GPU `device`; on a CPU the resident memory of the whole process, with
    all that was loaded before.
    """
    gpu = torch.device(device).type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats(device)
    elif (PROCESS / "clear_refs").exists():
        (PROCESS / "clear_refs").write_text("5")  # Linux: the peak of resident memory starts anew
    began = time.perf_counter()
    yield
    if gpu:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(device) if gpu else _resident_peak()
    costs[name] = {"seconds": round(seconds, 2), "peak_memory_mb": round(peak / 2**20)}


def _resident_peak() -> int:
    """Bytes at the peak; outside Linux the process's peak since its start."""
    if (PROCESS / "status").exists():
        lines = (PROCESS / "status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
