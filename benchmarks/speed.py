"""Speed of training and sampling, every method beside plain DSM: python benchmarks/speed.py

The library's own training loop runs, a few steps of each method in turn, again and again; a row holds medians.
Share of the matrix rate: operations counted, over time, over the rate of a large matrix product of the same
precision measured in the same run. `--networks paper --batch 256` on a GPU is the paper's setting. Rows of the
machine's table that a call does not measure stay as they are.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import machine
import pandas as pd
import psutil
import torch
import torch._dynamo
from loops import POSTERIOR, WORKLOADS, evaluate, trainer, wait

from tiwlib import devices
from tiwlib.runs import write_json

METHODS = ("dsm_obs", "iw_dsm", "tiw_dsm", f"tiw_dsm{POSTERIOR}")
LABELS = {"dsm_obs": "dsm", "sample": "sampling, 18 levels"}
EVALUATIONS = 2 * 18 - 1  # of the denoiser by 18 levels of Heun's sampler
THRESHOLDS = {"over_dsm": 1.10, "matmul_share on an H200": 0.40, "bf16 over fp32 on a CPU with AMX": 2.5}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
KEY = ("network", "batch", "device", "precision", "compiled", "method")  # one row for each


def matrix_rate(device: torch.device, dtype: torch.dtype, n: int = 0) -> float:
    """TFLOP/s of a large square matrix product on random numbers, medians of ten.

    The better of two: by the library for matrices, and as a convolution of one pixel, for on some CPUs the
    library for convolutions multiplies twice as fast. n: rows, a multiple of 32; 0 is what fills the device.
    """
    n = n or (8192 if device.type == "cuda" else 2048)
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    pixels, kernels = b.view(1, n, n // 32, 32), a.view(n, n, 1, 1)
    seconds = {lambda: a @ b: [], lambda: torch.nn.functional.conv2d(pixels, kernels): []}
    for _ in range(12):
        for product, times in seconds.items():
            wait(device)
            began = time.perf_counter()
            product()
            wait(device)
            times.append(time.perf_counter() - began)
    return 2 * n**3 / min(statistics.median(times[2:]) for times in seconds.values()) / 1e12


def memory(name: str, method: str, precision: str, batch: int, compiled: bool) -> int:
    """Peak memory of two training steps in MB: the device's, or what a process of its own takes above its imports."""
    if devices.accelerator().device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        _, loop = trainer(WORKLOADS[name], method, precision, batch, 2, compiled)
        next(loop)
        return round((torch.cuda.max_memory_allocated() - before) / 2**20)
    command = [sys.executable, __file__, "--memory", name, method, precision, str(batch)]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def peak_above_imports(name: str, method: str, precision: str, batch: str) -> int:
    import resource

    before = psutil.Process().memory_info().rss
    _, loop = trainer(WORKLOADS[name], method, precision, int(batch), 2, False)
    next(loop)
    return round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 2**20)


def measured(workload, precision, batch, steps, compiled, repetitions, device) -> dict[str, list[float]]:
    """Seconds of a step of each method, and of sampling a batch, taking turns; all is given back at the end."""
    running = {m: trainer(workload, m, precision, batch, steps, compiled) for m in METHODS}
    for _, loop in running.values():
        next(loop)  # warm: memory is taken, kernels are built
    denoiser = running["dsm_obs"][0]
    evaluate(denoiser, workload, precision, batch, device)
    seconds = {m: [] for m in (*METHODS, "sample")}
    for _ in range(repetitions):
        for m, (_, loop) in running.items():
            began = time.perf_counter()
            next(loop)
            seconds[m].append((time.perf_counter() - began) / steps)
        three = evaluate(denoiser, workload, precision, batch, device)
        seconds["sample"].append(three * EVALUATIONS / 3)
    for _, loop in reversed(running.values()):  # the last to listen for SIGTERM gives it back first
        loop.close()
    return seconds


def work(workload) -> dict[str, float]:
    """GFLOP an image of a step by each method, and of a sample.

    The ratio runs forward for the weight; for the correction also backward to x, not to its frozen weights. The
    posterior ratio is a matrix product with all observed images, and another one backward.
    """
    step, ratio = workload.gflop(workload.denoiser, True), workload.gflop(workload.ratio, False)
    sample = EVALUATIONS * workload.gflop(workload.denoiser, False)
    product = 2 * workload.observed * workload.channels * workload.size**2 / 1e9
    return {
        "dsm_obs": step,
        "iw_dsm": step + ratio,
        "tiw_dsm": step + 2 * ratio,
        f"tiw_dsm{POSTERIOR}": step + 2 * product,
        "sample": sample,
    }


def rows_of(name: str, precision: str, device: torch.device, rate: float, options) -> Iterator[dict]:
    """The rows of one network and precision: training by each method, then sampling."""
    workload, gpu = WORKLOADS[name], device.type == "cuda"
    batch, steps = options.batch or workload.batch[0 if gpu else 1], 10 if gpu else workload.steps
    compiled = gpu and workload.compiled
    torch.compiler.reset()  # what one network has compiled would make the next one's sizes unknowns
    seconds = measured(workload, precision, batch, steps, compiled, options.repetitions, device)
    tflop = {m: gflop * batch / 1e3 for m, gflop in work(workload).items()}
    for m, times in seconds.items():
        step, trains = statistics.median(times), m != "sample"
        over = [a / b for a, b in zip(times, seconds["dsm_obs"], strict=True)]
        yield {
            "network": name,
            "batch": batch,
            "device": device.type,
            "precision": precision,
            "compiled": compiled,
            "method": LABELS.get(m, m),
            "images_per_s": round(batch / step, 2),
            "over_dsm": round(statistics.median(over), 3) if trains else None,
            "over_dsm_turns": [round(turn, 3) for turn in over] if trains else None,
            "matmul_share": round(tflop[m] / step / rate, 3),
            "peak_memory_mb": memory(name, m, precision, batch, compiled) if trains else None,
            "matrix_tflops": round(rate, 3),
            "tf32": gpu and torch.backends.cudnn.allow_tf32,  # float32 convolutions with shorter factors
            "cudnn_benchmark": gpu and torch.backends.cudnn.benchmark,
            "repetitions": options.repetitions,
            **machine.provenance(),
        }


def merged(old: list[dict], new: list[dict]) -> list[dict]:
    """The rows of both, a new one in the place of the old one of its KEY; by network, precision and method."""
    rows = {tuple(row[name] for name in KEY): row for row in [*old, *new]}
    networks, precisions = list(WORKLOADS), list(DTYPES)
    methods = [LABELS.get(m, m) for m in (*METHODS, "sample")]

    def place(row: dict) -> tuple:
        order = (networks.index(row["network"]), row["device"], row["batch"], row["compiled"])
        return *order, precisions.index(row["precision"]), methods.index(row["method"])

    return sorted(rows.values(), key=place)


def add(path: Path, table: dict) -> dict:
    """Write the table to `path` with the rows of the one that is there; another chip's is a ValueError."""
    before = json.loads(path.read_text()) if path.exists() else table
    if before["chip"] != table["chip"]:
        raise ValueError(
            f"{path}: was measured on {before['chip']}, this is {table['chip']}: pass --machine NAME"
        )
    table = table | {"rows": merged(before["rows"], table["rows"])}
    write_json(path, table)
    return table


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--precisions", nargs="+", choices=devices.PRECISIONS, default=devices.PRECISIONS)
    parser.add_argument("--batch", type=int, default=0, help="of every network; 0: the table's")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--matrix", type=int, default=0, help="rows of the matrix product; 0: fills the device"
    )
    parser.add_argument(
        "--machine", help="for the name of the file; default: the chip or the processor's kind"
    )
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder of the tables")
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory:
        print(peak_above_imports(*options.memory))
        return
    torch._dynamo.config.fail_on_recompile_limit_hit = True  # rather than run plain and be called compiled
    device = devices.accelerator().device
    name = options.machine or machine.machine(device)
    table = {"machine": name, "chip": machine.chip(device), "thresholds": THRESHOLDS}
    path = options.out / f"{name}-speed.json"
    rates = {p: matrix_rate(device, DTYPES[p], options.matrix) for p in options.precisions}
    print(f"{table['chip']}: " + ", ".join(f"{p} matrix product {r:.3g} TFLOP/s" for p, r in rates.items()))
    for network in options.networks:
        for precision in options.precisions:
            rows = list(rows_of(network, precision, device, rates[precision], options))
            add(path, table | {"rows": rows})  # after each: a run cut short leaves a table too
            print(pd.DataFrame(rows).iloc[:, : len(KEY) + 4].to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
