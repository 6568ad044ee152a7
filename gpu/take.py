"""Take home what a node's stages have handed over: python gpu/take.py FOLDER

Records go to results/, rows of speed into the chip's table, other tables beside it, what was compiled into .gpu/ for
the next node of that kind. Records of runs that are here already are replaced.
"""

import argparse
import json
import shutil
import sys
import tarfile
from pathlib import Path

from pack import SAFELY

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import machine  # noqa: E402
import speed  # noqa: E402

from tiwlib import runs  # noqa: E402


def take(folder: Path, tables: Path, packed: Path) -> list[Path]:
    """What was taken, as it lies now."""
    taken = []
    for path in folder.glob("results.tar.gz"):
        with tarfile.open(path) as archive:
            for entry in archive.getmembers():  # results/NOTEBOOK/RUN/FILE
                entry.name = str(Path(*Path(entry.name).parts[1:]))
                if entry.isfile():
                    archive.extract(entry, runs.results_root(), **SAFELY)
                    taken.append(runs.results_root() / entry.name)
    for path in folder.glob("*-speed.json"):
        speed.add(tables / path.name, json.loads(path.read_text()))
        taken.append(tables / path.name)
    copies = [(path, tables) for path in folder.glob("*-ratio-size-*.json")]
    copies += [(path, packed) for path in folder.glob("compiled.tar.gz.*")]
    for path, target in copies:
        target.mkdir(parents=True, exist_ok=True)
        taken.append(Path(shutil.copy(path, target)))
    return taken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="the node's OUT")
    for path in take(parser.parse_args().folder, machine.RESULTS, ROOT / ".gpu"):
        print(path)
