"""Three rings: imports point inwards, what stands in the inner one is light, and importing changes nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LIBRARY = PROJECT / "tiwlib"
HEAVY = {"papermill", "IPython", "diffusers", "accelerate", "pandas"}
INNER = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}  # the paper: the flat files
OUTER = {"ledger", "workflow", "benchmarks", "notebooks", "tests"}
SHOW = """
import json, sys, warnings
import {first}
filters, operators = list(warnings.filters), {operators}
import {module}
print(json.dumps({{"modules": sorted(sys.modules), "filters": filters == warnings.filters,
                   "operators": operators == {operators}}}))
"""


def loaded_by(module: str, first: str = "sys", operators: str = "None") -> dict:
    """What `import module` loads in a fresh process, and whether it leaves filters and operators as they were."""
    code = SHOW.format(module=module, first=first, operators=operators)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", ["objectives", "gaussians", "sampling"])
def test_the_equations_come_along_without_the_rest(module):
    modules = loaded_by(f"tiwlib.{module}")["modules"]
    ours = [name for name in modules if name.partition(".")[0] == "tiwlib"]
    assert f"tiwlib.{module}" in ours and len(ours) <= 3
    assert not HEAVY & {name.partition(".")[0] for name in modules}


def test_importing_the_package_changes_nothing():
    """No filter of warnings, no operator of torch, not even torch itself."""
    loaded = loaded_by("tiwlib")
    assert "torch" not in loaded["modules"] and loaded["filters"]
    loaded = loaded_by("tiwlib.objectives", "torch", "torch._C._jit_get_all_schemas().__len__()")
    assert loaded["filters"] and loaded["operators"]


def imported_by(path: Path) -> set[str]:
    """Full names of all that a file imports, wherever in it: `from tiwlib import ratio` is tiwlib.ratio."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def sources() -> list[Path]:
    folders = ["tiwlib", *sorted(OUTER)]
    return [path for folder in folders for path in sorted((PROJECT / folder).rglob("*.py"))]


def test_the_paper_imports_nothing_but_the_paper():
    for path in LIBRARY.glob("*.py"):
        ours = {name.split(".")[1] for name in imported_by(path) if name.startswith("tiwlib.")}
        assert ours <= INNER, f"{path.name} imports {', '.join(sorted(ours - INNER))} of an outer ring"


def test_the_library_imports_no_bookkeeping():
    assert all((PROJECT / name).is_dir() for name in OUTER)
    for path in LIBRARY.rglob("*.py"):
        tops = {name.partition(".")[0] for name in imported_by(path)}
        assert not tops & OUTER, f"{path.relative_to(PROJECT)} imports {tops & OUTER}"


def test_nothing_imports_a_notebook():
    stems = {path.stem for path in (PROJECT / "notebooks").glob("*.py")}
    assert "01_density_ratio_2d" in stems
    for path in sources():
        tops = {name.partition(".")[0] for name in imported_by(path)}
        assert not tops & (stems | {"notebooks"}), f"{path.relative_to(PROJECT)} imports a notebook"


def test_the_paper_stays_small():
    """What stands for the paper's equations and their networks fits into 1,500 lines; each file into 260."""
    names = ["noise", "gaussians", "objectives", "closed_form", "networks", "backbones", "ratio", "training"]
    lines = {
        name: len((LIBRARY / f"{name}.py").read_text().splitlines())
        for name in [*names, "sampling", "batches"]
    }
    assert sum(lines.values()) <= 1500 and max(lines.values()) <= 260
