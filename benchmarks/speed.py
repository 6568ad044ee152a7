"""Speed of training and sampling, every method beside plain DSM: python benchmarks/speed.py

The library's own training loop runs, a few steps of each method in turn, again and again; a row holds medians.
Share of the matrix rate: operations counted, over time, over the rate of a large matrix product of the same
precision measured in the same run. `--networks paper --batch 256` on a GPU is the paper's setting.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
import torch._dynamo
from networks import gflop

from tiwlib import devices, objectives, sampling, training
from tiwlib.batches import Observed
from tiwlib.data import Subset
from tiwlib.networks import image_denoiser, image_ratio, paper_denoiser
from tiwlib.noise import LogNormal, sampling_grid

# name: channels, pixels, denoiser, batch on a GPU, batch on a CPU, steps between two looks at the clock there
NETWORKS = {
    "digits": (1, 8, lambda: image_denoiser(1, 8, 16), 1024, 128, 10),
    "mnist": (1, 28, lambda: image_denoiser(1, 28, 32), 512, 64, 2),
    "paper": (3, 32, lambda: paper_denoiser(3, 32, 0.13), 256, 4, 1),
    "celeba": (3, 64, lambda: paper_denoiser(3, 64, 0.05), 128, 2, 1),
}
METHODS = ("dsm_obs", "iw_dsm", "tiw_dsm")
EVALUATIONS = 2 * 18 - 1  # of the denoiser by 18 levels of Heun's sampler
BARS = {"over_dsm": 1.10, "matmul_share on an H200": 0.40, "bf16 over fp32 on a CPU with AMX": 2.5}


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a large square matrix product on random numbers, medians of ten.

    The better of two: by the library for matrices, and as a convolution of one pixel, for on some CPUs the
    library for convolutions multiplies twice as fast.
    """
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    pixels, kernels = b.view(1, n, n // 32, 32), a.view(n, n, 1, 1)
    seconds = {lambda: a @ b: [], lambda: torch.nn.functional.conv2d(pixels, kernels): []}
    for _ in range(12):
        for product, taken in seconds.items():
            wait(device)
            began = time.perf_counter()
            product()
            wait(device)
            taken.append(time.perf_counter() - began)
    return 2 * n**3 / min(statistics.median(taken[2:]) for taken in seconds.values()) / 1e12


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def trainer(name: str, method: str, precision: str, batch: int, steps: int, compiled: bool):
    """A running training.train that stops after every `steps` steps, when the device has done them."""
    channels, size, build, *_ = NETWORKS[name]
    denoiser, ratio = build(), image_ratio(channels)
    device = devices.accelerator().device
    images = np.random.default_rng(0).integers(0, 256, (2000, channels, size, size), np.uint8)
    sets = [Subset(images, rows).on(device) for rows in (np.arange(1500), np.arange(1500, 2000))]
    if compiled:
        devices.compile_backbone(denoiser)
        devices.compile_backbone(ratio)
    schedule = training.Schedule(10**9, batch, flip=True, precision=precision, log_every=steps)
    ratio.to(device).requires_grad_(False).eval()
    options = {"ratio": ratio if method != "dsm_obs" else None, "accelerator": devices.accelerator()}
    observed = Observed(*sets, 0.5)
    return denoiser, training.train(
        denoiser, objectives.method(method), observed, LogNormal(), schedule, **options
    )


def memory(name: str, method: str, precision: str, batch: int, compiled: bool) -> int:
    """Peak memory of two training steps in MB: the device's, or what a process of its own takes above its imports."""
    device = devices.accelerator().device
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        _, loop = trainer(name, method, precision, batch, 2, compiled)
        next(loop)
        return round((torch.cuda.max_memory_allocated() - before) / 2**20)
    command = [sys.executable, __file__, "--memory", name, method, precision, str(batch)]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def peak_above_imports(name: str, method: str, precision: str, batch: str) -> int:
    import resource

    before = psutil.Process().memory_info().rss
    _, loop = trainer(name, method, precision, int(batch), 2, False)
    next(loop)
    return round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 2**20)


def evaluate(denoiser, name: str, precision: str, batch: int, device: torch.device) -> float:
    """Seconds of two levels of the sampler, three evaluations of the denoiser."""
    channels, size = NETWORKS[name][:2]
    grid = sampling_grid(2).to(device)
    x = torch.randn(batch, channels, size, size, device=device) * grid[0]
    denoiser.eval()
    wait(device)
    began = time.perf_counter()
    with torch.no_grad(), devices.autocast(device, precision):
        sampling.heun(denoiser, x, grid)
    wait(device)
    taken = time.perf_counter() - began
    denoiser.train()
    return taken


def times(name, precision, batch, steps, compiled, repetitions, device) -> dict[str, list[float]]:
    """Seconds of a step of each method, and of sampling a batch, taking turns; all is given back at the end."""
    running = {m: trainer(name, m, precision, batch, steps, compiled) for m in METHODS}
    for _, loop in running.values():
        next(loop)  # warm: memory is taken, kernels are built
    evaluate(running["dsm_obs"][0], name, precision, batch, device)
    seconds = {m: [] for m in (*METHODS, "sample")}
    for _ in range(repetitions):
        for m, (_, loop) in running.items():
            began = time.perf_counter()
            next(loop)
            seconds[m].append((time.perf_counter() - began) / steps)
        taken = evaluate(running["dsm_obs"][0], name, precision, batch, device)
        seconds["sample"].append(taken * EVALUATIONS / 3)
    for _, loop in reversed(running.values()):  # the last to listen for SIGTERM gives it back first
        loop.close()
    return seconds


def rows_of(name: str, precision: str, options: argparse.Namespace, device, rate: float):
    """The rows of one network and precision: training by each method, then sampling."""
    channels, size, _, on_gpu, on_cpu, steps = NETWORKS[name]
    gpu = device.type == "cuda"
    batch, steps = options.batch or (on_gpu if gpu else on_cpu), 10 if gpu else steps
    compiled = gpu and name in ("paper", "celeba")
    torch.compiler.reset()  # what one network has compiled would make the next one's sizes unknowns
    seconds = times(name, precision, batch, steps, compiled, options.repetitions, device)
    shape, trained = (channels, size), gflop_on_meta(name, True)
    ratio = gflop(meta(lambda: image_ratio(channels)), *shape, backward=False)
    # forward for the weight; for the correction also backward to x, but not to the frozen weights of the ratio
    work = {"dsm_obs": trained, "iw_dsm": trained + ratio, "tiw_dsm": trained + 2 * ratio}
    work["sample"] = gflop_on_meta(name, False) * EVALUATIONS
    for m, values in seconds.items():
        time_of_step = statistics.median(values)
        over = [a / b for a, b in zip(values, seconds["dsm_obs"], strict=True)]
        yield {
            "network": name,
            "batch": batch,
            "device": device.type,
            "precision": precision,
            "compiled": compiled,
            "method": {"dsm_obs": "dsm", "sample": "sampling, 18 levels"}.get(m, m),
            "images_per_s": round(batch / time_of_step, 2),
            "over_dsm": None if m == "sample" else round(statistics.median(over), 3),
            "matmul_share": round(work[m] * batch / time_of_step / 1e3 / rate, 3),
            "peak_memory_mb": None if m == "sample" else memory(name, m, precision, batch, compiled),
        }


def meta(build):
    with torch.device("meta"):
        return build()


def gflop_on_meta(name: str, backward: bool) -> float:
    channels, size, build, *_ = NETWORKS[name]
    return gflop(meta(build), channels, size, backward)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--precisions", nargs="+", choices=devices.PRECISIONS, default=devices.PRECISIONS)
    parser.add_argument("--batch", type=int, default=0, help="of every network; 0: the table's")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--machine", help="for the name of the file")
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(peak_above_imports(*options.memory))
        return
    torch._dynamo.config.fail_on_recompile_limit_hit = True  # rather than run plain and be called compiled
    device = devices.accelerator().device
    chip = torch.cuda.get_device_name() if device.type == "cuda" else cpu_name()
    machine = options.machine or f"{platform.machine()}-{os.cpu_count()}-cores"
    if device.type == "cuda" and not options.machine:
        machine = chip.replace(" ", "-")
    out = Path(__file__).parent / "results" / f"{machine}-speed.json"
    out.parent.mkdir(exist_ok=True)
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    rates = {precision: matrix_rate(device, types[precision]) for precision in options.precisions}
    tf32 = (
        device.type == "cuda" and torch.backends.cudnn.allow_tf32
    )  # float32 convolutions with shorter factors
    found = {"machine": machine, "chip": chip, "torch": torch.__version__, "threads": torch.get_num_threads()}
    found |= {"repetitions": options.repetitions, "bars": BARS, "tf32": tf32}
    found |= {"matrix_tflops": {k: round(v, 3) for k, v in rates.items()}, "rows": []}
    print(f"{chip}: " + ", ".join(f"{k} matrix product {v:.3g} TFLOP/s" for k, v in rates.items()))
    for name in options.networks:
        for precision in options.precisions:
            found["rows"] += rows_of(name, precision, options, device, rates[precision])
            out.write_text(
                json.dumps(found, indent=1) + "\n"
            )  # after each: a run cut short leaves a table too
            print(pd.DataFrame(found["rows"][-len(METHODS) - 1 :]).to_string(index=False), flush=True)


def cpu_name() -> str:
    """The processor's name, and whether it has matrix units (AMX)."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
    amx = any("amx_bf16" in line for line in lines if line.startswith("flags"))
    return f"{name}, {'with' if amx else 'without'} AMX"


if __name__ == "__main__":
    main()
