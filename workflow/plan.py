"""What a sweep runs: a YAML file, checked and expanded into runs before the first of them starts."""

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from tiwlib import runs
from tiwlib.runs import mapping

BUILD = Path("build", "sweep")  # executed notebooks and logs
KEYS = {"runs", "runs_per_gpu"}
TEXT, MAPPING = (str, "text"), (dict, "names with values")
KINDS = {"file": TEXT, "run": TEXT, "params": MAPPING, "vary": MAPPING}
ENTRY_KEYS = {"notebook", *KINDS}


@dataclass(frozen=True)
class Planned:
    """One run: `params` are all of its notebook's parameters, `given` those that papermill is told."""

    notebook: str
    name: str
    params: dict
    given: dict

    @property
    def folder(self) -> Path:
        return runs.results_root() / self.notebook / self.name

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.json"

    def built(self, suffix: str) -> Path:
        """What the sweep itself keeps: .ipynb as executed, .log, and .failed where it failed."""
        return BUILD / self.notebook / f"{self.name}{suffix}"

    def as_yaml(self) -> str:
        """What papermill is told, in one line."""
        given = {**self.given, "run": self.name}
        return yaml.safe_dump(given, default_flow_style=True, width=float("inf")).strip()

    def stale(self) -> list[str]:
        """In what a record of this name, finished or not, differs: parameters, or what their paths hold."""
        try:
            return runs.changed(self.folder, self.params)
        except ValueError:  # it cannot be read
            return sorted(self.params)

    def done(self) -> bool:
        return self.metrics.exists() and not self.stale()


@dataclass(frozen=True)
class Sweep:
    """What a file asks for: runs, and how many of them may share a GPU."""

    runs: tuple[Planned, ...]
    runs_per_gpu: int


def load(path: str | Path) -> Sweep:
    """Read and check a sweep's file: ValueError names it and what is wrong, before anything runs."""
    content = mapping.read(path)
    try:
        return checked(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def checked(content: dict) -> Sweep:
    """What the content of a sweep's file asks for."""
    refuse_unknown(content, KEYS)
    per_gpu, entries = content.get("runs_per_gpu", 1), content.get("runs")
    if type(per_gpu) is not int or per_gpu < 1:
        raise ValueError(f"runs_per_gpu={per_gpu!r}: must be a whole number, at least 1")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"runs={entries!r}: must list what is run, see docs/sweeps.md")
    planned = [run for entry in entries for run in expand(entry)]
    (notebook, name), number = Counter((run.notebook, run.name) for run in planned).most_common(1)[0]
    if number > 1:
        raise ValueError(
            f"{number} runs of {notebook} are called {name}; let `run` name what differs, as in "
            "run: '{method}-seed{seed}'"
        )
    return Sweep(tuple(planned), per_gpu)


def refuse_unknown(content: dict, known: set) -> None:
    if unknown := sorted(map(str, content.keys() - known)):
        raise ValueError(f"unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def expand(entry: dict) -> list[Planned]:
    """One entry's runs: `params` (over those of `file`, a YAML file) with every combination of what `vary` lists."""
    notebook, template, fixed, vary = checked_entry(entry)
    defaults, planned = runs.defaults(notebook), []
    for values in itertools.product(*vary.values()):
        given = {**fixed, **dict(zip(vary, values, strict=True))}
        params = runs.parameters(notebook, {**defaults, **given})
        name = name_from(template, params) if template else name_of(params, defaults, vary)
        params = {**params, "run": runs.checked_name(name)}
        planned.append(Planned(notebook, name, params, given))
    return planned


def checked_entry(entry: dict) -> tuple[str, str | None, dict, dict]:
    """An entry's notebook, the template of its runs' names, and what is fixed and varied."""
    if not isinstance(entry, dict):
        raise ValueError(f"{entry!r} in runs must be a mapping with a notebook")
    refuse_unknown(entry, ENTRY_KEYS)
    notebook = entry.get("notebook")
    known = sorted(path.stem for path in runs.notebooks().glob("*.ipynb"))
    if notebook not in known:
        raise ValueError(f"notebook={notebook!r}: no such notebook; known: {', '.join(known)}")
    for name, (kind, what) in KINDS.items():
        if name in entry and not isinstance(entry[name], kind):
            raise ValueError(f"{name}={entry[name]!r}: must be {what}")
    from_file = mapping.read(runs.PROJECT / entry["file"]) if "file" in entry else {}
    fixed, vary = entry.get("params", {}), entry.get("vary", {})
    for name, values in vary.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"vary: {name}={values!r}: must be a list of values")
        if name in fixed:
            raise ValueError(f"{name} is in params and in vary: it can be in one")
    if "run" in {**fixed, **vary}:
        raise ValueError("run names the runs of an entry: it stands beside params and vary, not in them")
    template = entry.get("run", from_file.pop("run", None))
    return notebook, template, {**from_file, **fixed}, vary


def name_from(template: str, params: dict) -> str:
    """'{method}-seed{seed}' filled in."""
    try:
        return template.format(**params)
    except (LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"run={template!r}: {error} is no parameter of the notebook") from error


def name_of(params: dict, defaults: dict, varied) -> str:
    """A name that says what is varied and what is not at its default, so that another value makes another run."""
    parts = []
    for key, value in params.items():
        if key != "run" and (key in varied or value != defaults[key]):
            text = value if isinstance(value, str) else f"{key}{value}"
            parts.append(re.sub(r"[^\w.]+", "_", text, flags=re.ASCII).strip("_."))
    name = "-".join(parts) or "default"
    if len(name) > 120:
        raise ValueError(f"a run would be called {name}: give the entry a shorter name by `run`")
    return name
