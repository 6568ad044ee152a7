"""nbval over the notebooks: run them again and compare every output that is not marked as machine-dependent.

    python tests/support/run_nbval.py              what `make test` runs: 02 and 07, of minutes each, at toy sizes
    python tests/support/run_nbval.py --all        all notebooks as they are
    python tests/support/run_nbval.py NOTEBOOK...  these

The notebooks write their records into a copy of results/, so that what is committed stays as it is, and keep
nothing from one call to the next. Two run at a time, the longest first; 06 comes last, for it reads what 05 writes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONG = ("02", "07")
FIRST = ("05", "03", "01", "test_toy_07")  # two at a time are then busy until the end


def rank(name: str) -> int:
    """Where a file stands in the order of a call."""
    return next((i for i, start in enumerate(FIRST) if Path(name).name.startswith(start)), len(FIRST))


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
        command += ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
        command += ["--nbval-sanitize-with", str(Path(__file__).with_name("nbval_sanitize.cfg"))]
        return subprocess.run([*command, *notebooks], env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    everything = sorted(f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    quick = [name for name in everything if Path(name).name[:2] not in LONG]
    toys = sorted(f"tests/notebooks/{path.name}" for path in (ROOT / "tests/notebooks").glob("test_toy_*.py"))
    chosen = everything if sys.argv[1:] == ["--all"] else sys.argv[1:] or quick + toys
    readers = [name for name in chosen if "06_results" in name]
    writers = sorted((name for name in chosen if name not in readers), key=rank)
    codes = [nbval(part, min(2, len(part))) for part in (writers, readers) if part]
    sys.exit(max(codes))
