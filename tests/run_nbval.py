"""nbval over all notebooks: run them again and compare every output that is not marked as machine-dependent.

The notebooks write their records into a copy of results/, so that what is committed stays as it is. Two at a
time, longest first.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "results", Path(folder) / "results")
        environment = {**os.environ, "TIWLIB_RESULTS": str(Path(folder) / "results"), "TQDM_DISABLE": "1"}
        notebooks = sys.argv[1:] or sorted(str(path) for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
        command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "--dist", "loadfile"]
        command += ["-n", "2", "-m", "", "--nbval-sanitize-with", str(ROOT / "tests" / "nbval_sanitize.cfg")]
        return subprocess.run([*command, *notebooks], env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
