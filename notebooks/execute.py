"""Rebuild notebooks from their .py and run them in place: `python notebooks/execute.py 01_density_ratio_2d ...`.

The .py is the source. Outputs are those of the defaults, on a CPU, without progress bars and without anything
that names the machine or the time. With `--texts` nothing is run: text, tags and alternative texts are taken from the
.py, and the outputs stay, as long as no line of code differs.
"""

import argparse
import os
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

HERE = Path(__file__).parent


def from_source(name: str) -> nbformat.NotebookNode:
    """The cells of <name>.py, without outputs."""
    notebook = jupytext.read(HERE / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # the same at every run
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3",
    }  # fmt: skip
    return notebook


def execute(name: str) -> None:
    """Write <name>.ipynb: the cells of <name>.py with the outputs of a fresh kernel."""
    notebook = from_source(name)
    nbformat.write(notebook, HERE / f"{name}.ipynb")  # the notebook reads its own parameters cell there
    NotebookClient(
        notebook, timeout=None, record_timing=False, resources={"metadata": {"path": HERE}}
    ).execute()
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, HERE / f"{name}.ipynb")


def renew_texts(name: str) -> None:
    """Write <name>.ipynb: the cells of <name>.py with the outputs that it has. Other code is a ValueError."""
    notebook = from_source(name)
    renewed = [cell for cell in notebook.cells if cell.cell_type == "code"]
    held = [c for c in nbformat.read(HERE / f"{name}.ipynb", 4).cells if c.cell_type == "code"]
    for number, (new, old) in enumerate(zip(renewed, held, strict=False), 1):
        if new.source != old.source:
            raise ValueError(f"{name}: code cell {number} differs from that of the notebook; run it again")
        new.outputs, new.execution_count = old.outputs, old.execution_count
    if len(renewed) != len(held):
        raise ValueError(
            f"{name}: has {len(renewed)} code cells, its notebook {len(held)}; run the notebook again"
        )
    nbformat.write(notebook, HERE / f"{name}.ipynb")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", help="notebooks, without .py")
    parser.add_argument("--texts", action="store_true", help="keep the outputs; refused where code differs")
    options = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # of tqdm, with a path in it
    for name in tqdm(options.names, desc="notebooks", disable=False):
        renew_texts(name) if options.texts else execute(name)
