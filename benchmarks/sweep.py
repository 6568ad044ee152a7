"""What a sweep costs beside its runs, and what a second worker gains: python benchmarks/sweep.py

Every run hashes the same number of blocks, on one thread, in a notebook of a few lines. One worker first, then two:
the overhead is the time that one worker needs beyond the work itself, for each run; it holds Snakemake, papermill
and the start of a kernel. Let nothing else run beside it. Takes about four minutes.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import tiny_notebook  # noqa: E402  a notebook that leaves a record

BARS = {"overhead_s": 10, "two_workers": 1.8}


def blocks_in(seconds: float) -> int:
    """How many blocks of 1 MiB this machine hashes in that time, on one thread."""
    block, began, done = bytes(2**20), time.perf_counter(), 0
    while time.perf_counter() - began < 2:
        hashlib.sha256(block).digest()
        done += 1
    return round(done * seconds / (time.perf_counter() - began))


def sweep(folder: Path, runs: int, blocks: int, jobs: int) -> tuple[float, float]:
    """Seconds that a sweep takes, and seconds of work in its runs, all together."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for name in ("notebooks", "results", "checkpoints"):
        environment[f"TIWLIB_{name.upper()}"] = str(folder / name)
    tiny_notebook.write(folder / "notebooks")
    entry = {"notebook": "tiny", "params": {"hashes": blocks}, "vary": {"seed": list(range(runs))}}
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"runs": [entry]}))
    command = [sys.executable, "-m", "workflow.sweep", "sweep.yaml", "--jobs", str(jobs)]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    records = (folder / "results" / "tiny").glob("*/metrics.json")
    return seconds, sum(json.loads(path.read_text())["seconds"] for path in records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--machine", default=f"{platform.machine()}-{os.cpu_count()}-cores", help="for the name"
    )
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--work", type=float, default=20.0, help="seconds of work in a run")
    options = parser.parse_args()
    blocks, found = blocks_in(options.work), {"runs": options.runs}
    for jobs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            seconds, work = sweep(Path(folder), options.runs, blocks, jobs)
        found |= {f"seconds_{jobs}": round(seconds, 1), f"work_{jobs}": round(work, 1)}
    found["overhead_s"] = round((found["seconds_1"] - found["work_1"]) / options.runs, 2)
    found["two_workers"] = round(found["seconds_1"] / found["seconds_2"], 2)
    for name, value in found.items():
        print(f"{name:16}{value:>10}" + (f"   bar {BARS[name]}" if name in BARS else ""))
    out = Path(__file__).parent / "results" / f"{options.machine}-sweep.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"machine": options.machine, "bars": BARS, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
