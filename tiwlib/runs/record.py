"""The record of a run: what was asked for, what came out, and where and with what it was made.

results/<notebook>/<run>/ holds params.json from the start, and metrics.json, provenance.json and figures/ when
the run has ended well. metrics.json is written last: a run without it did not finish.
"""

import io
import json
import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from tiwlib.runs.cache import PROJECT, write_json

PACKAGES = ("torch", "numpy", "diffusers", "accelerate", "scikit-learn", "torch-fidelity")


def results_root() -> Path:
    """Where all runs are kept: results/ of the project, or $TIWLIB_RESULTS."""
    return Path(os.environ.get("TIWLIB_RESULTS") or PROJECT / "results").expanduser()


def git_state() -> dict:
    """The commit, and whether the library or a notebook's source differs from it; None where git does not know."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", PROJECT, *arguments], capture_output=True, text=True)
        except OSError:  # no git on this machine
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changed = git("status", "--porcelain", "--", "tiwlib", "notebooks/*.py")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}


def alone(folder: Path, run: str) -> AcquireReturnProxy:
    """Hold folder/.lock, as a context or until this process ends, so that no other process makes the same run.

    Where another holds it, a RuntimeError. The same process may hold it again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", is_singleton=True, thread_local=False)
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        raise RuntimeError(
            f"run={run!r}: another process is at work in {folder}; wait for it, or give this run another name"
        ) from None


class Run:
    """One run being recorded, by one process at a time. Make it with `start`."""

    def __init__(self, folder: Path, params: dict):
        self.folder, self.params = folder, params
        self._lock = alone(folder, folder.name).lock
        self.hashes: dict[str, str] = {}
        self.stages: dict[str, dict] = {}  # what parts of the run cost, see cost.stage
        self._git = git_state()  # now: the code may change while the run goes on
        self._began = time.perf_counter()

    def figure(self, figure, name: str):
        """Save a matplotlib figure as figures/<name>.png, and .pdf beside it for print (git-ignored).

        Returns the PNG for display: 256 colours are enough for it, and keep notebooks small.
        """
        from IPython.display import Image as DisplayedImage  # a record itself needs no notebook
        from PIL import Image

        path = self.folder / "figures" / name
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path.with_suffix(".pdf"), bbox_inches="tight", metadata={"CreationDate": None})
        content = io.BytesIO()
        figure.savefig(content, dpi=100, bbox_inches="tight")
        with Image.open(content) as image:
            image.convert("RGB").quantize(256).save(path.with_suffix(".png"), optimize=True)
        return DisplayedImage(filename=str(path.with_suffix(".png")))

    def finish(self, metrics: dict, device: str = "cpu") -> Path:
        """Write provenance.json, then metrics.json; returns the folder. NaN is refused."""
        provenance = {
            **self._git,
            "seed": self.params.get("seed", list(range(self.params.get("seeds", 1)))),
            "device": device,
            "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
            "python": platform.python_version(),
            "versions": {package: version(package) for package in PACKAGES},
            "hashes": self.hashes,
            "stages": self.stages,
            "wall_seconds": round(time.perf_counter() - self._began, 1),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self.folder / "provenance.json", provenance)
        write_json(self.folder / "metrics.json", metrics)
        self._lock.release(force=True)
        return self.folder


def checked_name(run: str) -> str:
    """The name of a run, if a folder can have it."""
    if not run or not all(c.isalnum() or c in "-_." for c in run) or run.startswith("."):
        raise ValueError(f"run={run!r}: must be a folder's name of letters, digits, '-', '_' and '.'")
    return run


def differences(params: dict, others: dict) -> list[str]:
    """Names of the parameters in which two runs differ. Their names do not count: an empty one is filled in."""
    return sorted(k for k in (params.keys() | others.keys()) - {"run"} if params.get(k) != others.get(k))


def start(notebook: str, run: str, params: dict) -> Run:
    """Begin the record results/<notebook>/<run>/: drops an earlier result of that name, writes params.json.

    A finished run of that name with other parameters is not replaced: that is a ValueError. A run that another
    process is making is a RuntimeError. A folder that cannot be written is an OSError that names it.
    """
    folder = results_root() / notebook / checked_name(run)
    try:
        begun = Run(folder, params)
        if (folder / "metrics.json").exists():
            before = json.loads((folder / "params.json").read_text())
            if differing := differences(params, before):
                raise ValueError(
                    f"run={run!r}: {folder} holds a finished run with other values of {', '.join(differing)}; "
                    f"give this one another name, -p run NAME, or delete that folder"
                )
        for stale in ("metrics.json", "provenance.json"):
            (folder / stale).unlink(missing_ok=True)
        shutil.rmtree(folder / "figures", ignore_errors=True)
        write_json(folder / "params.json", params)
    except OSError as error:
        raise OSError(f"the results folder {folder} cannot be written: {error.strerror or error}") from error
    return begun


def finished(notebook: str) -> list[dict]:
    """All finished runs of a notebook, sorted by name: {"run", "params", "metrics", "provenance", "folder"}."""
    paths = sorted((results_root() / notebook).glob("*/metrics.json"))
    return [{"run": path.parent.name, "folder": path.parent, **read_record(path.parent)} for path in paths]


def read_record(folder: Path) -> dict[str, dict]:
    """The params, metrics and provenance of a finished run."""
    return {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in ("params", "metrics", "provenance")
    }
