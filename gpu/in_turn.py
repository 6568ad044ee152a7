"""The runs of a sweep one after the other, without Snakemake:

    python gpu/in_turn.py FILE [NAME=VALUE ...] [-p NAME VALUE ...]

A run is done when its record is there, with these parameters and this commit. One that was cut off goes on from the
last state of its training.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

from tiwlib import runs
from tiwlib.data import settings
from tiwlib.runs import mapping
from tiwlib.runs.record import git_state
from workflow import plan
from workflow.plan import Planned


def chosen(planned: tuple[Planned, ...], conditions: list[str]) -> list[Planned]:
    """The runs whose parameters have these values, NAME=VALUE; a condition that no run meets is a ValueError."""
    for condition in conditions:
        name, _, value = condition.partition("=")
        kept = [run for run in planned if run.params.get(name) == yaml.safe_load(value)]
        if not kept:
            known = sorted({str(run.params.get(name)) for run in planned})
            raise ValueError(f"{condition}: no such run; {name} is one of {', '.join(known)}")
        planned = tuple(kept)
    return list(planned)


def changed(run: Planned, values: dict, images: list[Path]) -> Planned:
    """The run with other values of some parameters, under a name that says so, and with its packed images.

    images: zips whose name begins with that of the data set they hold.
    """
    given = {**run.given, **values}
    for path in images:
        setting = given.get("setting", run.params.get("setting"))
        if setting in settings.SETTINGS and path.name.startswith(settings.SETTINGS[setting].source):
            given["source"] = str(path)
    params = runs.parameters(run.notebook, {**runs.defaults(run.notebook), **given})
    suffix = "".join(f"-{name}{value}" for name, value in values.items())
    name = runs.checked_name(run.name + (suffix if len(suffix) < 60 else f"-{runs.digest(values)[:8]}"))
    return Planned(run.notebook, name, {**params, "run": name}, given)


def done(run: Planned) -> bool:
    """Whether the run's record is there, of these parameters and this commit."""
    if not run.done():
        return False
    return runs.read_record(run.folder)["provenance"]["commit"] == git_state()["commit"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="a sweep, such as workflow/cifar10_short.yaml")
    parser.add_argument("conditions", nargs="*", metavar="NAME=VALUE", help="which of its runs")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="values")
    parser.add_argument("--images", type=Path, action="append", default=[], help="zip of a data set's images")
    parser.add_argument("--executed", type=Path, default=Path("build", "gpu"), help="where notebooks go")
    options = parser.parse_intermixed_args(arguments)
    values = {name: yaml.load(value, mapping.Loader) for name, value in options.values}
    todo = [
        changed(run, values, options.images)
        for run in chosen(plan.load(options.file).runs, options.conditions)
    ]
    options.executed.mkdir(parents=True, exist_ok=True)
    for run in todo:
        if done(run):
            print(f"{run.notebook}/{run.name}: done before", flush=True)
            continue
        print(f"{run.notebook}/{run.name}", flush=True)
        source, executed = runs.notebooks() / f"{run.notebook}.ipynb", options.executed / f"{run.name}.ipynb"
        command = [sys.executable, "-m", "papermill", "--log-output", "--no-progress-bar", source, executed]
        status = subprocess.run([*command, "-y", run.as_yaml()]).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
