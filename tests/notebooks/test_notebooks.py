"""The notebooks as files: paired, executed in one go, small, and with something for nbval to compare."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tiwlib import runs

FOLDER = runs.PROJECT / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
QUICK = ("04_biased_datasets", "06_results")


def code_cells(name):
    return [c for c in nbformat.read(FOLDER / f"{name}.ipynb", 4).cells if c.cell_type == "code"]


def printed(cell):
    return "".join(
        o.get("text", "") for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"
    )


def compared(name):
    """The code cells whose printed numbers nbval compares."""
    return [
        c
        for c in code_cells(name)
        if "nbval-ignore-output" not in c.metadata.get("tags", []) and re.search(r"\d\.\d+", printed(c))
    ]


def test_all_are_there():
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06", "07"]


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_is_its_source(name):
    jupytext = pytest.importorskip("jupytext")  # missing where notebooks are only run
    source = jupytext.read(FOLDER / f"{name}.py")
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    assert [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells] == [
        (c.cell_type, c.source, c.metadata.get("tags", [])) for c in source.cells
    ], f"{name}.ipynb is not made from {name}.py: run `make notebooks`"


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_was_run_in_one_go_and_says_nothing_of_the_machine(name):
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 300_000
    cells = code_cells(name)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(o.output_type != "error" and o.get("name") != "stderr" for o in cell.outputs)
    text = path.read_text()
    assert (
        not re.search(r"/(home|root|tmp|work|Users)/", text)
        and "papermill" not in nbformat.read(path, 4).metadata
    )


@pytest.mark.parametrize("name", NAMES)
def test_parameters_have_comments_and_something_is_compared(name):
    declared = runs.declared(name)
    assert declared and all(entry["help"] for entry in declared.values()), "every parameter has a comment"
    assert compared(name)


# What a trained network has to do with: rounded, so that another CPU prints the same. 04 trains nothing.
LEARNED = {
    "01_density_ratio_2d": r"TIW-DSM +within",
    "02_what_each_objective_learns": "mean over all variants and seeds: within",
    "03_ratio_accuracy": "the time-dependent ratio removes",
    "05_train": "share of the bias that is left, in fifths",
    "06_results": r"TIW-DSM +total variation",
    "07_baselines": "TIW-DSM: discrepancy in fifths",
}


@pytest.mark.parametrize("name", LEARNED)
def test_a_learned_number_is_among_those_that_are_compared(name):
    assert any(re.search(LEARNED[name], printed(cell)) for cell in compared(name))


@pytest.fixture
def executing(tmp_path, monkeypatch):
    """notebooks/execute.py at work on a folder with a notebook "a" of one text and one cell of code."""
    pytest.importorskip("jupytext")
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    (tmp_path / "a.py").write_text("# %% [markdown]\n# old\n\n# %%\nprint(1)\n")
    module.execute("a")
    return module


def test_texts_are_renewed_without_a_run(executing, tmp_path):
    held = nbformat.read(tmp_path / "a.ipynb", 4).cells
    (tmp_path / "a.py").write_text('# %% [markdown]\n# new\n\n# %% tags=["bookkeeping"]\nprint(1)\n')
    executing.renew_texts("a")
    text, code = nbformat.read(tmp_path / "a.ipynb", 4).cells
    assert text.source == "new" and code.metadata["tags"] == ["bookkeeping"]
    assert code.outputs == held[1].outputs and printed(code) == "1\n" and code.execution_count == 1


@pytest.mark.parametrize(
    "code, fault", [("print(2)", "code cell 1"), ("print(1)\n\n# %%\n2", "2 code cells")]
)
def test_texts_of_other_code_are_refused(executing, tmp_path, code, fault):
    """Outputs that the code has not made must not stand below it; the notebook stays as it was."""
    before = (tmp_path / "a.ipynb").read_text()
    (tmp_path / "a.py").write_text(f"# %% [markdown]\n# new\n\n# %%\n{code}\n")
    with pytest.raises(ValueError, match=f"a: .*{fault}"):
        executing.renew_texts("a")
    assert (tmp_path / "a.ipynb").read_text() == before


LAUNCHED = (  # in a browser too
    "01_density_ratio_2d",
    "02_what_each_objective_learns",
    "03_ratio_accuracy",
    "04_biased_datasets",
)


@pytest.mark.parametrize("name", LAUNCHED)
def test_a_notebook_that_comes_alone_installs_the_library_first(name):
    """The same cell in each, and the book folds it: before it only the title, after it the first import."""
    install, imports = code_cells(name)[:2]
    assert install.source == code_cells(LAUNCHED[0])[0].source and install.metadata["tags"] == ["bookkeeping"]
    assert "git" in install.source and not install.outputs, "where the library is there it does nothing"
    assert "tiwlib import" in imports.source


DEPENDS = (
    "05_train",
    "06_results",
)  # what is drawn depends on the data: figures have names in place of numbers


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_text_and_a_caption(name):
    """The text is in the cell's metadata, for those who do not see it; the caption is near below, in order.

    In the notebooks that go by a name the caption is the text too (book/extensions/notebook_pages.py).
    """
    cells, number = nbformat.read(FOLDER / f"{name}.ipynb", 4).cells, 0
    for i, cell in enumerate(cells):
        pictures = sum("image/png" in o.get("data", {}) for o in cell.get("outputs", []))
        assert pictures <= 1, f"two pictures above one caption: {cell.source}"
        if pictures:
            number += 1
            below = next(c.source for c in cells[i + 1 :] if c.cell_type == "markdown")
            begins = "**Figure: " if name in DEPENDS else f"**Figure {number}.** "
            assert below.startswith(begins), below[:60]
            assert name in DEPENDS or cell.metadata["mystnb"]["image"]["alt"], cell.source
    assert number
    assert any("## What we learned" in cell.source for cell in cells)


def nbval(path):
    command = [sys.executable, FOLDER.parent / "tests" / "support" / "run_nbval.py", path]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_nbval_fails_where_a_stored_number_is_altered(name):
    """The number is a learned one, where something is learned.

    The altered copy stands beside the original, for nbval runs a notebook in its own folder.
    """
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    changed = next(cell for cell in compared(name) if re.search(LEARNED.get(name, ""), printed(cell)))
    cell = next(c for c in notebook.cells if c.get("id") == changed.id)
    output = next(o for o in cell.outputs if re.search(r"\d\.\d+", o.get("text", "")))
    output.text = re.sub(r"(\d\.)(\d)", lambda m: m[1] + str((int(m[2]) + 1) % 10), output.text, count=1)
    path = Path(FOLDER / f"altered_{os.getpid()}_{name}.ipynb")
    nbformat.write(notebook, path)
    try:
        done = nbval(path)
    finally:
        path.unlink()
    assert done.returncode == 1, done.stdout[-2000:]
    assert "1 failed" in done.stdout, done.stdout[-2000:]
