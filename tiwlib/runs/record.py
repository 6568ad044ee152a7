"""The record of a run: what was asked for, what came out, and where and with what it was made.

results/<notebook>/<run>/ holds params.json from the start, and metrics.json, provenance.json and figures/ when
the run has ended well. metrics.json is written last: a run without it did not finish.
"""

import io
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from tiwlib.runs import mapping
from tiwlib.runs.cache import PROJECT, code, digest, naming, sha256, write_json

PACKAGES = ("torch", "numpy", "diffusers", "accelerate", "scikit-learn", "torch-fidelity")
PATHS = ("setting", "source", "biased", "reference", "biased_groups", "reference_groups", "ratio_features")
PATHS += ("inception_weights",)
LONGEST = 200  # bytes of a run's name, which becomes part of others


def results_root() -> Path:
    """Where all runs are kept: results/ of the project, or $TIWLIB_RESULTS."""
    return Path(os.environ.get("TIWLIB_RESULTS") or PROJECT / "results").expanduser()


def git_state() -> dict:
    """The commit, and whether the library or a notebook's source differs from it; None where neither is known.

    Where the code lies without its git, $TIWLIB_COMMIT may name the commit.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", PROJECT, *arguments], capture_output=True, text=True)
        except OSError:  # no git on this machine
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD") or os.environ.get("TIWLIB_COMMIT")
    changed = git("status", "--porcelain", "--", "tiwlib", "notebooks/*.py")
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


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
        # the code's also where git calls the tree dirty; a notebook adds those of its data
        self.hashes = {"code": code()}
        self.stages: dict[str, dict] = {}  # what parts of the run cost, see cost.stage
        self._git = git_state()  # now: the code may change while the run goes on
        self._began = time.perf_counter()

    def figure(self, figure, name: str):
        """Save a matplotlib figure as figures/<name>.png, and .pdf beside it for print (git-ignored).

        Returns the PNG for display: 200 dots an inch are sharp on every screen, and 16 levels of each colour keep
        notebooks small; no eye tells them from 256, and black and white stay what they are.
        """
        from IPython.display import Image as DisplayedImage  # a record itself needs no notebook
        from PIL import Image

        path, content = self.folder / "figures" / name, io.BytesIO()
        with naming(path):
            path.parent.mkdir(exist_ok=True)
            figure.savefig(path.with_suffix(".pdf"), bbox_inches="tight", metadata={"CreationDate": None})
        figure.savefig(content, dpi=200, bbox_inches="tight")
        with naming(path), Image.open(content) as image:
            levels = image.convert("RGB").point(lambda value: 17 * round(value / 17))
            levels.quantize(256).save(path.with_suffix(".png"), optimize=True)
        return DisplayedImage(filename=str(path.with_suffix(".png")), retina=True)  # shown at 100 dots

    def finish(self, metrics: dict, device: str = "cpu") -> Path:
        """Write provenance.json, then metrics.json; returns the folder. NaN is refused."""
        provenance = {
            **self._git,
            "seed": self.params.get("seed", list(range(self.params.get("seeds", 1)))),
            "device": device,
            "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
            "cudnn_benchmark": _cudnn_benchmark(),
            "python": platform.python_version(),
            "versions": {package: version(package) for package in PACKAGES},
            "hashes": self.hashes,
            "stages": self.stages,
            "wall_seconds": round(time.perf_counter() - self._began, 1),
            # of this process and those it waited for, from its start: the clock of a busy machine says little
            "cpu_seconds": round(sum(os.times()[:4]), 1),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self.folder / "provenance.json", provenance)
        write_json(self.folder / "metrics.json", metrics)
        self._lock.release(force=True)
        return self.folder


def _cudnn_benchmark() -> bool | None:
    """Whether cuDNN picks its kernels by trial, so that runs differ in the last bits; None without torch."""
    torch = sys.modules.get("torch")  # a record itself needs none
    return torch and torch.backends.cudnn.benchmark


def checked_name(run: str) -> str:
    """The name of a run, if a folder can have it."""
    if not re.fullmatch(r"(?!\.)[\w.-]+", run) or len(run.encode()) > LONGEST:
        allowed = f"letters, digits, '-', '_' and '.', no '.' first, at most {LONGEST} bytes"
        raise ValueError(f"run={run!r}: must be a folder's name of {allowed}")
    return run


def holds(params: dict) -> dict[str, str]:
    """Hashes of what the parameters name by a path: a run is the same only if these are.

    A file is hashed by its content. A folder or zip of images by its files' names, sizes and times, as the store of
    their arrays is. A setting of one's own by its content, and by the images and groups that stand beside it.
    """
    paths = {name: PROJECT / params[name] for name in PATHS if params.get(name)}
    setting = paths.get("setting")
    if setting and setting.suffix == ".json" and setting.is_file():
        content = mapping.read(setting)
        beside = {name: content[name] for name in ("source", "groups") if content.get(name)}
        paths |= {f"setting's {name}": setting.parent / str(path) for name, path in beside.items()}
    return {name: hash for name, path in paths.items() if (hash := _content(path))}


def _content(path: Path) -> str | None:
    """The hash of what is there; None where the path is none, as the name of a setting."""
    file = next((part for part in (path, *path.parents) if part.is_file()), None)  # images.zip/train is one
    if file and file.suffix != ".zip":
        return sha256(file)
    files = [file] if file else sorted(each for each in path.rglob("*") if each.is_file())
    stamps = [(os.path.relpath(each, path), each.stat()) for each in files]
    return digest([[name, state.st_size, state.st_mtime_ns] for name, state in stamps]) if stamps else None


def differences(params: dict, others: dict) -> list[str]:
    """Names of the parameters in which two runs differ. Their names do not count: an empty one is filled in."""
    return sorted(k for k in (params.keys() | others.keys()) - {"run"} if params.get(k) != others.get(k))


def changed(folder: Path, params: dict) -> list[str]:
    """The parameters in which the record in `folder` differs from `params`, by value or by what a path holds.

    Empty where there is no record. A record that cannot be read is a ValueError that names the file.
    """
    if not any((folder / name).exists() for name in ("params.json", "metrics.json")):
        return []
    held = mapping.read(folder / "holds.json") if (folder / "holds.json").exists() else {}
    of_paths = [f"{name} (what it holds)" for name in differences(holds(params), held)]
    return differences(params, mapping.read(folder / "params.json")) or of_paths


def start(notebook: str, run: str, params: dict) -> Run:
    """Begin the record results/<notebook>/<run>/: drops what an earlier run of that name left, writes params.json.

    A finished run of that name with other parameters, or with the same paths but other files behind them, is not
    replaced: that is a ValueError. A run that another process is making is a RuntimeError. A folder that cannot be
    written is an OSError that names it.
    """
    folder = results_root() / notebook / checked_name(run)
    try:
        begun = Run(folder, params)
        if (folder / "metrics.json").exists() and (differing := changed(folder, params)):
            raise ValueError(
                f"run={run!r}: {folder} holds a finished run with other values of {', '.join(differing)}; "
                f"give this one another name, -p run NAME, or delete that folder"
            )
        if (folder / "params.json").exists():  # else it is no record of ours
            _empty(folder)
        write_json(folder / "params.json", params)
        if held := holds(params):
            write_json(folder / "holds.json", held)
    except OSError as error:
        raise OSError(f"the results folder {folder} cannot be written: {error.strerror or error}") from error
    return begun


def _empty(folder: Path) -> None:
    """Drop all but the lock of a record, and first what says that it is finished."""
    (folder / "metrics.json").unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def finished(notebook: str) -> list[dict]:
    """All finished runs of a notebook, sorted by name: {"run", "params", "metrics", "provenance", "folder"}.

    A record that is damaged is left out, with a warning that names it.
    """
    records = []
    for path in sorted((results_root() / notebook).glob("*/metrics.json")):
        try:
            records.append({"run": path.parent.name, "folder": path.parent, **read_record(path.parent)})
        except ValueError as error:
            warnings.warn(f"{error}: this record is left out", stacklevel=2)
    return records


def read_record(folder: Path) -> dict[str, dict]:
    """The params, metrics and provenance of a finished run. One that cannot be read is a ValueError that names it."""
    return {name: mapping.read(folder / f"{name}.json") for name in ("params", "metrics", "provenance")}
