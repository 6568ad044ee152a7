"""What a benchmark's record says of the machine, the code and the day."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from tiwlib.runs.record import git_state

RESULTS = Path(__file__).parent / "results"


def chip(device: torch.device) -> str:
    """The GPU's name; or the processor's, and whether it has matrix units (AMX)."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
    amx = any("amx_bf16" in line for line in lines if line.startswith("flags"))
    return f"{name}, {'with' if amx else 'without'} AMX"


def machine(device: torch.device) -> str:
    """The machine as a part of a file's name: the GPU, or the processor's kind and its number of cores."""
    if device.type == "cuda":
        return chip(device).replace(" ", "-")
    return f"{platform.machine()}-{os.cpu_count()}-cores"


def provenance() -> dict:
    """The commit, whether files differ from it, the day, torch's version and its number of threads."""
    today = datetime.now(UTC).date().isoformat()
    return {**git_state(), "date": today, "torch": torch.__version__, "threads": torch.get_num_threads()}
