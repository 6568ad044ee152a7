"""Rebuild notebooks from their .py and run them in place: `python notebooks/execute.py 01_density_ratio_2d ...`.

The .py is the source. Outputs are those of the defaults, on a CPU, without progress bars and without anything
that names the machine or the time.
"""

import os
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

HERE = Path(__file__).parent


def execute(name: str) -> None:
    """Write <name>.ipynb: the cells of <name>.py with the outputs of a fresh kernel."""
    notebook = jupytext.read(HERE / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # the same at every run
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3",
    }  # fmt: skip
    nbformat.write(notebook, HERE / f"{name}.ipynb")  # the notebook reads its own parameters cell there
    NotebookClient(
        notebook, timeout=None, record_timing=False, resources={"metadata": {"path": HERE}}
    ).execute()
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, HERE / f"{name}.ipynb")


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # of tqdm, with a path in it
    for name in tqdm(sys.argv[1:], desc="notebooks", disable=False):
        execute(name)
