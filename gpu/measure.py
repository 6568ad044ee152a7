"""What only a look at the machine tells: python gpu/measure.py check | compile NETWORK | profile NETWORK FILE

The training loop is the project's own, as benchmarks/speed.py runs it. With SMALL=1 in the environment everything is
tiny and nothing is compiled by a C++ compiler, to try this on a CPU.
"""

import os
import platform
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import loops  # noqa: E402
import speed  # noqa: E402
import torch  # noqa: E402
import torch._dynamo as dynamo  # noqa: E402

from tiwlib import devices  # noqa: E402

METHODS = ("dsm_obs", "tiw_dsm", "iw_dsm")
KINDS = {  # what a kernel is for: the first whose marks are in its name
    "compiled: reductions (norms)": ("triton_red", "triton_per"),
    "compiled: elementwise": ("triton_poi", "triton_for"),
    "attention": ("flash", "fmha", "attention", "sdpa"),
    "convolutions and products": (
        "conv",
        "xmma",
        "gemm",
        "wgrad",
        "dgrad",
        "cutlass",
        "nvjet",
        "addmm",
        "::mm",
    ),
    "layouts": ("nchw", "nhwc", "transpose"),
    "optimiser and average": ("adam", "multi_tensor", "foreach"),
    "copies": ("memcpy", "memset", "copy"),
}


def kind(kernel: str) -> str:
    """What a kernel is for, by its name."""
    low = kernel.lower()
    return next((name for name, marks in KINDS.items() if any(mark in low for mark in marks)), "other")


class Bench:
    """The training loop of one network, at the size that this machine is asked for."""

    def __init__(self, network: str, small: bool):
        self.workload, self.small = loops.WORKLOADS[network], small
        self.precision = "fp32" if small else "bf16"
        self.batch = 8 if small else self.workload.batch[0]
        self.steps = 2 if small else 10  # between two looks at the clock
        self.device = devices.accelerator().device

    def trainer(self, method: str, compiled: bool, steps: int = 0):
        """A denoiser and its running loop, with the same draws for every method."""
        torch.manual_seed(0)
        return loops.trainer(self.workload, method, self.precision, self.batch, steps or self.steps, compiled)

    def evaluate(self, denoiser) -> float:
        return loops.evaluate(denoiser, self.workload, self.precision, self.batch, self.device)


def check(small: bool) -> None:
    """Versions, the GPU and its rates, whether a notebook runs."""
    import diffusers
    import nbformat
    import numpy
    from nbclient import NotebookClient

    versions = {"python": platform.python_version(), "torch": torch.__version__}
    versions |= {"numpy": numpy.__version__, "diffusers": diffusers.__version__}
    print(", ".join(f"{name} {version}" for name, version in versions.items()), f"{os.cpu_count()} cores")
    device = devices.accelerator().device
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        print(
            f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        )
        print(f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free")
    elif not small:
        raise SystemExit("torch sees no GPU")
    for name, dtype in speed.DTYPES.items():
        rate = speed.matrix_rate(device, dtype, 64 if small else 0)
        print(f"{name} matrix product: {rate:.3g} TFLOP/s")
    began = time.perf_counter()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import tiwlib; 6 * 7")])
    NotebookClient(notebook, timeout=180, kernel_name="python3").execute()
    assert notebook.cells[0].outputs[-1]["data"]["text/plain"] == "42"
    print(f"a notebook runs, {time.perf_counter() - began:.0f} s")


def compile_check(network: str, small: bool) -> None:
    """Seconds until each network is compiled, graphs, breaks; the first losses beside the plain network's."""
    dynamo.config.fail_on_recompile_limit_hit = True
    bench, losses = Bench(network, small), {}
    for compiled in (False, True):
        for method in METHODS:
            graphs, began = dynamo.utils.counters["stats"]["unique_graphs"], time.perf_counter()
            denoiser, loop = bench.trainer(method, compiled, 2)
            losses[method, compiled] = next(loop).losses
            seconds = time.perf_counter() - began
            graphs = dynamo.utils.counters["stats"]["unique_graphs"] - graphs
            how = "compiled" if compiled else "plain"
            print(f"{method}, {how}: two steps in {seconds:.1f} s, {graphs} new graphs")
            if method == METHODS[0]:
                first, second = bench.evaluate(denoiser), bench.evaluate(denoiser)
                print(f"  three evaluations without gradient: {first:.2f} s, then {second:.2f} s")
            loop.close()
    print("graph breaks:", dict(dynamo.utils.counters["graph_break"]) or "none")
    for method in METHODS:
        plain, fast = losses[method, False], losses[method, True]
        gap = ((fast - plain).abs() / plain.abs()).max().item()
        print(f"{method}: largest relative difference of a compiled loss {gap:.1e}")
        assert gap < 0.1, "dropout alone does not explain that"


def profile(network: str, path: Path, small: bool) -> None:
    """Images a second of the ways to run, then the kernels of a few compiled steps of TIW-DSM, by kind."""
    bench = Bench(network, small)
    rate = speed.matrix_rate(bench.device, speed.DTYPES[bench.precision], 64 if small else 0)
    work = bench.workload.gflop(bench.workload.denoiser, True) * bench.batch / 1e3
    print(f"matrix product {rate:.3g} TFLOP/s; a step of the denoiser is {work:.3g} TFLOP")
    compiled = not small
    for method, how in (("dsm_obs", compiled), ("tiw_dsm", compiled), ("dsm_obs", False)):
        _, loop = bench.trainer(method, how)
        for search in (False, True):  # cuDNN guesses its kernels, or tries them
            torch.backends.cudnn.benchmark = search
            name = f"{method}, {'compiled' if how else 'plain'}, cuDNN {'searches' if search else 'guesses'}"
            step = seconds_a_step(loop, bench)
            share = work / step / rate
            print(
                f"{name:38}{1e3 * step:8.1f} ms a step {bench.batch / step:8.0f} images/s, share {share:.3f}"
            )
        loop.close()
    kernels(bench, compiled, path)


def seconds_a_step(loop, bench: Bench) -> float:
    next(loop)
    times = []
    for _ in range(1 if bench.small else 3):
        began = time.perf_counter()
        next(loop)
        times.append((time.perf_counter() - began) / bench.steps)
    return statistics.median(times)


def kernels(bench: Bench, compiled: bool, path: Path, steps: int = 3) -> None:
    """Profile steps of TIW-DSM: the time of each kind of kernel to the screen, the longest kernels to `path`."""
    _, loop = bench.trainer("tiw_dsm", compiled, steps)
    next(loop)
    gpu = bench.device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if gpu else []
    began = time.perf_counter()
    with torch.profiler.profile(activities=activities) as profiled:
        next(loop)
    wall = time.perf_counter() - began
    loop.close()
    own = "self_device_time_total" if gpu else "self_cpu_time_total"  # microseconds
    rows = profiled.key_averages()
    if gpu:
        rows = [r for r in rows if r.device_type == torch.autograd.DeviceType.CUDA and getattr(r, own) > 0]
    kinds: dict[str, float] = {}
    for row in rows:
        kinds[kind(row.key)] = kinds.get(kind(row.key), 0) + getattr(row, own)
    total = sum(kinds.values()) / 1e6
    print(f"{steps} steps of tiw_dsm: {wall:.3f} s by the clock, {total:.3f} s in kernels")
    for name, microseconds in sorted(kinds.items(), key=lambda item: -item[1]):
        print(f"  {name:28}{microseconds / steps / 1e3:8.2f} ms a step")
    longest = sorted(rows, key=lambda row: -getattr(row, own))[:60]
    lines = [
        f"{getattr(row, own) / steps / 1e3:10.3f} ms a step {row.count / steps:7.1f} times  {row.key[:150]}"
        for row in longest
    ]
    path.write_text("\n".join(lines) + "\n")
    print("\n".join(lines[:12]))


def main(command: str, *arguments: str) -> None:
    small = bool(os.environ.get("SMALL"))
    if small:  # the graphs alone: a CPU's C++ compiler takes minutes for them
        devices.compile_backbone = lambda network: network.backbone.compile(backend="aot_eager")
    if command == "check":
        check(small)
    elif command == "compile":
        compile_check(*arguments, small)
    elif command == "profile":
        network, path = arguments
        profile(network, Path(path), small)
    else:
        raise ValueError(f"command={command!r}: must be check, compile or profile")


if __name__ == "__main__":
    main(*sys.argv[1:])
