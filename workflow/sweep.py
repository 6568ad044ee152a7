"""A sweep: the runs of a YAML file, each one papermill process, in parallel by Snakemake.

`python -m workflow.sweep workflow/ledger.yaml`. A run is done when its record is there with these parameters; what is
done is not run again, so an interrupted sweep goes on where it was. docs/sweeps.md shows the file.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tiwlib import runs
from workflow import gpus, plan
from workflow.plan import Planned

LOCK = plan.BUILD / "lock"
SNAKEMAKE_LOG = plan.BUILD / "snakemake.log"


def set_aside(run: Planned, dry_run: bool) -> None:
    """Move a record of other parameters, and a state of its training, out of the way; say where it is now.

    Where another process is at work on either, a RuntimeError: it would end into the record that takes this place.
    """
    states = runs.checkpoints() / run.notebook
    home = Path("build", "replaced", run.notebook, f"{run.name}-{time.time_ns()}")
    changed = ", ".join(run.stale())
    there = [path for path in (run.folder, states / run.name) if path.exists() and not dry_run]
    with ExitStack() as held:
        for path in there:
            held.enter_context(runs.alone(path, run.name))
        for path in there:
            home.mkdir(parents=True, exist_ok=True)
            shutil.move(path, home / ("state" if path.parent == states else "record"))
    print(f"{run.notebook}/{run.name}: other values of {changed}; the old record goes to {home}", flush=True)


def command(path: str, jobs: int, profile: str | None, again: bool, stale: list[Planned]) -> list[str]:
    """The line that calls Snakemake. Whether a run is done is decided here alone: by its metrics.json."""
    snakefile = runs.PROJECT / "workflow" / "Snakefile"
    return [
        *(
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(snakefile),
            "--config",
            f"sweep={json.dumps([path])}",
        ),
        *(["--profile", profile, "--jobs", str(jobs)] if profile else ["--cores", str(jobs)]),
        *("--keep-going", "--rerun-triggers", "mtime", "--nolock", "--drop-metadata", "--ignore-incomplete"),
        *("--scheduler", "greedy", "--quiet", "host"),
        *(["--forceall"] if again else []),
        *(["--forcerun", *(str(run.metrics) for run in stale)] if stale else []),
    ]


def stamp(run: Planned) -> int | None:
    """When the run's metrics.json was written, None where there is none."""
    try:
        return run.metrics.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def watch(process: subprocess.Popen, todo: list[Planned]) -> list[Planned]:
    """Print a line for every run that ends while `process` lives; returns those that did not finish."""
    before = {run.metrics: stamp(run) for run in todo}
    waiting, unfinished = list(todo), []
    while True:
        ended = process.poll() is not None
        for run in list(waiting):
            if stamp(run) not in (None, before[run.metrics]):
                seconds = json.loads((run.folder / "provenance.json").read_text())["wall_seconds"]
                said = f"done in {seconds:.0f} s"
            elif run.built(".failed").exists():
                said = "failed"
                unfinished.append(run)
            else:
                continue
            waiting.remove(run)
            print(f"{run.notebook}/{run.name}: {said}, {len(waiting)} of {len(todo)} left", flush=True)
        if ended:
            return unfinished + waiting
        time.sleep(0.2)


def last_error(run: Planned) -> str:
    """The last line that papermill printed: the error, if there was one."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", run.built(".log").read_text(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "ended without a word"


def sum_up(path: str, total: int, unfinished: list[Planned]) -> None:
    """Name every failed run, and where to look."""
    failed = [run for run in unfinished if run.built(".log").exists()]
    for run in failed:
        print(f"FAILED {run.notebook}/{run.name}: {last_error(run)}")
        print(f"       {run.built('.log')}, {run.built('.ipynb')}")
    if len(unfinished) > len(failed):
        print(f"{len(unfinished) - len(failed)} runs were not started: {SNAKEMAKE_LOG} says why")
    print(f"{path}: {total - len(unfinished)} of {total} runs done", flush=True)


def start(line: list[str], held: int) -> subprocess.Popen:
    """Snakemake in a session of its own, for one signal to reach its runs; it holds the sweep's lock with us."""
    environment = {"OMP_NUM_THREADS": "1", "TQDM_MININTERVAL": "5", **os.environ}
    with SNAKEMAKE_LOG.open("w") as out:
        return subprocess.Popen(
            line, stdout=out, stderr=out, env=environment, pass_fds=[held], start_new_session=True
        )


def stop(process: subprocess.Popen) -> None:
    """End Snakemake and the runs it has started here, or let it cancel those it has handed on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                continue


def interrupted(*_) -> None:
    raise KeyboardInterrupt


def run(path: str, jobs: int | None, profile: str | None, again: bool, dry_run: bool) -> int:
    """Run what is not done; returns the exit status, 0 when every run of the sweep has its record."""
    if importlib.util.find_spec("snakemake") is None:
        raise ValueError("snakemake is not installed: pip install -c constraints.txt -e '.[sweep]'")
    sweep = plan.load(path)
    if any(brace in str(runs.results_root()) for brace in "{}"):
        raise ValueError(
            f"TIWLIB_RESULTS={runs.results_root()}: must have no braces, which are wildcards to Snakemake"
        )
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs={jobs}: must be at least 1")
    shared = [r.name for r in sweep.runs if r.params.get("num_processes", 1) > 1]
    if shared and gpus.visible() and not profile:
        raise ValueError(
            f"num_processes is above 1 in {', '.join(shared)}: a sweep gives each run one GPU; start such a run alone"
        )
    jobs = jobs or len(gpus.visible()) * sweep.runs_per_gpu or 2
    held = gpus.try_lock(LOCK)
    if held is None:
        raise ValueError(f"another sweep is at work in {Path.cwd()}: wait for it, or stop it")
    todo = [r for r in sweep.runs if again or not r.done()]
    done = len(sweep.runs) - len(todo)
    print(f"{path}: {len(sweep.runs)} runs, {done} done, {len(todo)} to do", flush=True)
    stale = [r for r in todo if r.stale()]
    for planned in stale:
        set_aside(planned, dry_run)
    if dry_run:
        return subprocess.run([*command(path, jobs, profile, again, stale), "--dry-run"]).returncode
    if not todo:
        return 0
    for planned in todo:
        planned.built(".failed").unlink(missing_ok=True)
        planned.built(".log").unlink(missing_ok=True)
    print(f"logs and executed notebooks: {plan.BUILD}/NOTEBOOK/RUN.log and .ipynb", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background had them ignored
        signal.signal(number, interrupted)
    process = start(command(path, jobs, profile, again, []), held)
    try:
        unfinished = watch(process, todo)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with what is not done", flush=True)
        return 130
    finally:
        stop(process)  # nothing to do where it has ended
    sum_up(path, len(sweep.runs), unfinished)
    return process.returncode or (1 if unfinished else 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workflow.sweep", description=__doc__.split("\n\n")[0])
    parser.add_argument("file", help="a sweep, such as workflow/ledger.yaml")
    parser.add_argument(
        "--jobs", type=int, help="runs at a time; default: the GPU slots here, or 2 without GPUs"
    )
    parser.add_argument("--profile", help="a Snakemake profile, such as workflow/slurm")
    parser.add_argument("--again", action="store_true", help="also run what is done")
    parser.add_argument("--dry-run", action="store_true", help="only say what would run")
    options = vars(parser.parse_args())
    try:
        return run(options.pop("file"), **options)
    except (ValueError, RuntimeError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
