"""nbval over all notebooks: run them again and compare every output that is not marked as machine-dependent.

The notebooks write their records into a copy of results/, so that what is committed stays as it is, and keep
nothing from one call to the next. Two run at a time, but 05 alone, for it reads what 04 writes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


# Minutes each: tests/notebooks/test_long_notebooks.py runs them through at toy sizes.
LONG = ("02", "07")


def tracked_results() -> list[str]:
    """The result files of the project; runs that a reader has added are not what the notebooks show."""
    listed = subprocess.run(
        ["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split() if (ROOT / name).exists()]


def nbval(notebooks: list[str], workers: int) -> int:
    """Run nbval on notebooks with a fresh copy of the results; returns pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        for name in tracked_results():
            copy = Path(folder, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy)
        environment = os.environ | {"TQDM_DISABLE": "1", "TIWLIB_RESULTS": f"{folder}/results"}
        environment |= {"PYTHONWARNINGS": "ignore:IProgress not found"}  # of tqdm, with a path in it
        environment |= {"TIWLIB_CHECKPOINTS": f"{folder}/checkpoints"}
        command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "-m", ""]
        command += ["-n", str(workers), "--dist", "loadfile"]
        command += ["--nbval-sanitize-with", str(Path(__file__).with_name("nbval_sanitize.cfg"))]
        return subprocess.run([*command, *notebooks], env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    everything = sorted(str(path) for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    chosen = [name for name in everything if Path(name).name[:2] not in LONG]
    chosen = everything if sys.argv[1:] == ["--all"] else sys.argv[1:] or chosen
    readers = [name for name in chosen if "06_results" in name]
    writers = [name for name in chosen if name not in readers]
    codes = [nbval(part, min(2, len(part))) for part in (writers, readers) if part]
    sys.exit(max(codes))
