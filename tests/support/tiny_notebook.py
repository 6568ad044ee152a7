"""A notebook of a few lines that leaves a record as ours do, without torch; for tests and a benchmark."""

from pathlib import Path

import nbformat

PARAMETERS = """
run = ""  # name
seed = 0  # seed
work = 0.0  # seconds of sleep
hashes = 0  # work for the processor
rate = 1e-3  # a number
method = "a"  # a word
fails = -1  # the seed that fails
"""
WORK = """
import hashlib, json, os, pathlib, time
params = {name: globals()[name] for name in ("run", "seed", "work", "hashes", "rate", "method", "fails")}
folder = pathlib.Path(os.environ["TIWLIB_RESULTS"]) / "tiny" / run
folder.mkdir(parents=True, exist_ok=True)
(folder / "params.json").write_text(json.dumps(params))
began = time.perf_counter()
time.sleep(work)
block = bytes(2**20)
for _ in range(hashes):
    hashlib.sha256(block).digest()
if seed == fails:
    raise RuntimeError(f"seed {seed} was told to fail")
seconds = time.perf_counter() - began
provenance = {"wall_seconds": seconds, "hashes": {}, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
(folder / "provenance.json").write_text(json.dumps(provenance))
(folder / "metrics.json.partial").write_text(json.dumps({"seed": seed, "seconds": seconds}))
(folder / "metrics.json.partial").replace(folder / "metrics.json")
"""


def write(folder: Path) -> None:
    """Write folder/tiny.ipynb."""
    folder.mkdir(parents=True, exist_ok=True)
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in (PARAMETERS, WORK)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "tiny.ipynb"
    )
