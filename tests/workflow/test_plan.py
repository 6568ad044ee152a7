"""A sweep's file: what it expands to, and what is refused before anything runs."""

import ast
import json
from pathlib import Path

import nbformat
import pytest
import tiny_notebook
import yaml

from tiwlib import runs
from tiwlib.runs import mapping
from workflow import plan


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    tiny_notebook.write(tmp_path / "notebooks")
    monkeypatch.setenv("TIWLIB_NOTEBOOKS", str(tmp_path / "notebooks"))
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)


def load(text):
    Path("sweep.yaml").write_text(text)
    return plan.load("sweep.yaml")


def test_an_entry_is_every_combination_of_what_it_varies():
    sweep = load("""
runs_per_gpu: 3
runs:
  - notebook: tiny
    run: "{method}-{seed}"
    params: {rate: 1}
    vary: {method: [a, b], seed: [0, 1, 2]}
  - notebook: tiny
    run: single
""")
    assert sweep.runs_per_gpu == 3
    assert [r.name for r in sweep.runs] == ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2", "single"]
    assert sweep.runs[4].given == {"rate": 1, "method": "b", "seed": 1}
    expected = {"run": "b-1", "seed": 1, "work": 0.0, "hashes": 0, "rate": 1.0, "method": "b", "fails": -1}
    assert sweep.runs[4].params == expected, "all parameters of the notebook, an int for a float"
    assert yaml.safe_load(sweep.runs[4].as_yaml()) == {"rate": 1, "method": "b", "seed": 1, "run": "b-1"}


def test_without_a_name_a_run_is_named_by_what_makes_it_differ():
    sweep = load("runs: [{notebook: tiny, params: {rate: 3e-4, method: b}, vary: {seed: [0, 1]}}]")
    assert [r.name for r in sweep.runs] == ["seed0-rate0.0003-b", "seed1-rate0.0003-b"]
    assert sweep.runs[0].params["rate"] == 3e-4, "3e-4 is a number, though not in YAML 1.1"
    assert load("runs: [{notebook: tiny}]").runs[0].name == "default"


def test_very_small_numbers_reach_papermill_as_numbers():
    run = load("runs: [{notebook: tiny, params: {rate: 1e-7}}]").runs[0]
    assert yaml.safe_load(run.as_yaml())["rate"] == 1e-7  # as papermill reads it


def test_a_file_of_parameters_gives_way_to_the_entry(tmp_path):
    (tmp_path / "some.yaml").write_text("run: named\nrate: 0.5\nseed: 7\nmethod: c\n")
    entry = f"notebook: tiny, file: {tmp_path / 'some.yaml'}, params: {{rate: 0.25}}"
    (run,) = load(f"runs: [{{{entry}}}]").runs
    assert run.name == "named" and (run.params["rate"], run.params["seed"]) == (0.25, 7)
    (run,) = load(f"runs: [{{{entry}, run: mine, vary: {{method: [d]}}}}]").runs
    assert run.name == "mine" and run.params["method"] == "d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "runs: [{notebook: tiny, params: {sed: 1}}]",
            "sed=1: tiny has no such parameter; did you mean seed",
        ),
        ("runs: [{notebook: tiny, vary: {rat: [1, 2]}}]", "rat=1: tiny has no such parameter"),
        ("runs: [{notebook: tiny, vary: {seed: [0, x]}}]", "seed='x': tiny takes int"),
        ("runs: [{notebook: tiny, vary: {seed: 3}}]", "seed=3: must be a list"),
        ("runs: [{notebook: tiny, vary: {seed: []}}]", r"seed=\[\]: must be a list of values"),
        ("runs: [{notebook: tinny}]", "notebook='tinny': no such notebook; known: tiny"),
        ("runs: [{notebook: tiny, parms: {}}]", "unknown parms; known: file, notebook, params, run, vary"),
        ("runs: [{notebook: tiny, file: none.yaml}]", "none.yaml: cannot be read: .*No such file"),
        ("run: []", "unknown run; known: runs, runs_per_gpu"),
        ("runs: []", r"runs=\[\]: must list what is run"),
        ("runs: [tiny]", "'tiny' in runs must be a mapping"),
        ("- 1", "must hold names and values, not list"),
        ("runs: [", "sweep.yaml: cannot be read: while parsing"),
        ("runs_per_gpu: 0\nruns: [{notebook: tiny}]", "runs_per_gpu=0: must be a whole number"),
        ("runs: [{notebook: tiny, run: x, vary: {seed: [0, 1]}}]", "2 runs of tiny are called x"),
        ("runs: [{notebook: tiny, run: '{sede}'}]", "'sede' is no parameter"),
        ("runs: [{notebook: tiny, run: a/b}]", "run='a/b': must be a folder's name"),
        ("runs: [{notebook: tiny, params: {run: x}}]", "run names the runs of an entry"),
        ("runs: [{notebook: tiny, params: {seed: 1}, vary: {seed: [2]}}]", "seed is in params and in vary"),
        (f"runs: [{{notebook: tiny, params: {{method: {'m' * 200}}}}}]", "give the entry a shorter name"),
        ("runs: 5", "runs=5: must list what is run"),
        ("runs: {notebook: tiny}", "runs={'notebook': 'tiny'}: must list what is run"),
        ("runs: [{notebook: tiny, params: [1]}]", r"params=\[1\]: must be names with values"),
        ("runs: [{notebook: tiny, params: abc}]", "params='abc': must be names with values"),
        ("runs: [{notebook: tiny, params: {1: 2}}]", "cannot be read: 1 is no name"),
        ("runs: [{notebook: tiny, vary: seed}]", "vary='seed': must be names with values"),
        ("runs: [{notebook: tiny, file: 5}]", "file=5: must be text"),
        ("runs: [{notebook: tiny, file: null}]", "file=None: must be text"),
        ("runs: [{notebook: tiny, file: [a]}]", r"file=\['a'\]: must be text"),
        ("runs: [{notebook: tiny, run: [a]}]", r"run=\['a'\]: must be text"),
        ("runs: [{notebook: tiny, run: '{seed[0]}'}]", "is no parameter of the notebook"),
        (
            f"runs: [{{notebook: tiny, run: {'r' * 300}}}]",
            "run='rrr.*: must be a folder's name of .*, at most 200 bytes",
        ),
        ("runs: [{notebook: [tiny]}]", r"notebook=\['tiny'\]: no such notebook"),
        (
            "runs: [{notebook: ../notebooks/tiny}]",
            "notebook='../notebooks/tiny': no such notebook; known: tiny",
        ),
        ("runs: [{notebook: ./tiny}]", "notebook='./tiny': no such notebook; known: tiny"),
        ("runs: [{notebook: tiny, vary: {seed: [0], seed: [1]}}]", "seed is there twice"),
        ("runs: [{notebook: tiny, params: {rate: .nan}}]", "rate=nan: must be a finite number"),
        ("runs: [{notebook: tiny, vary: {rate: [1.0, -.inf]}}]", "rate=-inf: must be a finite number"),
        ("runs: [{notebook: tiny, params: {seed: 010}}]", "seed='010': tiny takes int here, not str"),
        ("runs: [{notebook: tiny, params: {seed: 1:30}}]", "seed='1:30': tiny takes int here, not str"),
        ("runs: " + "[" * 20_000, "sweep.yaml: cannot be read: it is nested too deeply"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        load(text)


def test_a_file_that_is_no_text_is_named(tmp_path):
    Path("sweep.yaml").write_bytes(b"runs: [\xff\xfe]")
    with pytest.raises(ValueError, match="sweep.yaml: cannot be read: .*utf-8"):
        plan.load("sweep.yaml")


@pytest.mark.parametrize("text", ["- 1", "rate: 1\nrate: 2", "{"], ids=["a list", "a key twice", "broken"])
def test_a_file_of_parameters_is_checked_like_the_sweep(text, tmp_path):
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(ValueError, match="some.yaml: "):
        load(f"runs: [{{notebook: tiny, file: {tmp_path / 'some.yaml'}}}]")


def test_a_number_deep_in_a_parameter_is_finite_too(monkeypatch):
    monkeypatch.delenv("TIWLIB_NOTEBOOKS")
    with pytest.raises(ValueError, match="adp_grid=.*nan.*: must be a finite number"):
        load("runs: [{notebook: 07_baselines, params: {adp_grid: {gamma: [1.0, .nan]}}}]")


def test_numbers_are_what_they_look_like():
    values = yaml.load("[3e-4, 1E5, 1.5, -2, 0, .5, 2., 1e3, 12_000, 0x10]", mapping.Loader)
    assert values == [3e-4, 1e5, 1.5, -2, 0, 0.5, 2.0, 1000.0, "12_000", "0x10"]
    assert [type(v) for v in values[:5]] == [float, float, float, int, int]


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match="nowhere.yaml: cannot be read: .*No such file"):
        plan.load("nowhere.yaml")


def test_a_run_is_done_when_its_record_is_there_with_its_parameters():
    (run,) = load("runs: [{notebook: tiny, run: r, params: {seed: 4}}]").runs
    assert not run.done() and run.stale() == []
    run.folder.mkdir(parents=True)
    (run.folder / "params.json").write_text(json.dumps({**run.params, "run": ""}))
    assert not run.done(), "it has started"
    run.metrics.write_text("{}")
    assert run.done() and run.stale() == [], "an empty name was filled in"
    (run.folder / "params.json").write_text(json.dumps({**run.params, "seed": 5, "old": 1}))
    assert not run.done() and run.stale() == ["old", "seed"]


def test_a_run_whose_files_have_changed_is_not_done(tmp_path, monkeypatch):
    """A setting of one's own, edited in place, is another setting under the same name."""
    monkeypatch.delenv("TIWLIB_NOTEBOOKS")
    (tmp_path / "mine.json").write_text('{"source": "digits", "bias": "none"}')
    entry = f"notebook: 05_train, run: r, params: {{setting: {tmp_path / 'mine.json'}}}"
    (run,) = load(f"runs: [{{{entry}}}]").runs
    runs.start("05_train", "r", run.params)
    run.metrics.write_text("{}")
    assert run.done()
    (tmp_path / "mine.json").write_text('{"source": "digits", "bias": "long_tail"}')
    assert not run.done() and run.stale() == ["setting (what it holds)"]


@pytest.mark.parametrize("content", [None, "", "[1]", "{"], ids=["none", "empty", "a list", "cut short"])
def test_a_record_without_its_parameters_is_not_done(content):
    (run,) = load("runs: [{notebook: tiny, run: r}]").runs
    run.folder.mkdir(parents=True)
    run.metrics.write_text("{}")
    if content is not None:
        (run.folder / "params.json").write_text(content)
    assert not run.done() and run.stale() == sorted(run.params)


@pytest.mark.parametrize(
    "path", sorted((runs.PROJECT / "workflow").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_sweeps_of_the_project_are_sound(path, monkeypatch):
    monkeypatch.delenv("TIWLIB_NOTEBOOKS")
    assert plan.load(path).runs


def test_the_ledger_has_five_seeds_of_seven_runs_on_digits_and_eight_in_2_d(monkeypatch):
    monkeypatch.delenv("TIWLIB_NOTEBOOKS")
    planned = plan.load(runs.PROJECT / "workflow" / "ledger.yaml").runs
    digits = [r.params for r in planned if r.notebook == "05_train" and r.params["alpha"] == 1]
    kinds = {(p["method"], p["reference_fraction"]) for p in digits}
    assert len(kinds) >= 7 and all(
        {p["seed"] for p in digits if (p["method"], p["reference_fraction"]) == kind} >= set(range(5))
        for kind in kinds
    )
    for notebook in ("01_density_ratio_2d", "03_ratio_accuracy"):
        assert any(r.params["seeds"] == 8 for r in planned if r.notebook == notebook)


@pytest.mark.parametrize(
    "path", sorted((runs.PROJECT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_every_parameter_of_a_notebook_is_one_to_papermill(path, monkeypatch):
    """It passes over a line that it cannot read, such as one whose comment has an equals sign."""
    monkeypatch.delenv("TIWLIB_NOTEBOOKS")
    cells = nbformat.read(path, 4).cells
    (source,) = (c.source for c in cells if "parameters" in c.metadata.get("tags", ()))
    assigned = [node.targets[0].id for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    assert list(runs.defaults(path.stem)) == assigned


def test_every_sweep_stands_on_the_page_of_sweeps():
    page = (runs.PROJECT / "docs" / "sweeps.md").read_text()
    sweeps = [f"`workflow/{path.name}`" for path in (runs.PROJECT / "workflow").glob("*.yaml")]
    assert [name for name in sweeps if name not in page] == []
