"""The parameters of a notebook: what its parameters cell declares, and whether a run's values agree with it."""

import ast
import difflib
import math
import os
from pathlib import Path

from tiwlib.runs.cache import PROJECT

LITERALS = (bool, int, float, str, list, dict, type(None))


def notebooks() -> Path:
    """Where the notebooks are: notebooks/ of the project, or $TIWLIB_NOTEBOOKS."""
    return Path(os.environ.get("TIWLIB_NOTEBOOKS") or PROJECT / "notebooks").expanduser()


def declared(notebook: str) -> dict[str, dict]:
    """What the parameters cell of a notebook declares: name -> {"default": its source, "help": its comment, ...}."""
    import papermill  # takes a second, and only runs of notebooks need it

    return papermill.inspect_notebook(str(notebooks() / f"{notebook}.ipynb"))


def defaults(notebook: str) -> dict:
    """The values that the parameters cell of a notebook declares."""
    return {name: ast.literal_eval(entry["default"]) for name, entry in declared(notebook).items()}


def parameters(notebook: str, namespace: dict) -> dict:
    """The parameters of a notebook, checked: call it below the parameters cell with `globals()`.

    papermill only warns of a misspelt name. Here a name that the notebook does not declare, a value of another type
    than the default's (an int passes for a float, a number for None), and a number that is not finite, is a
    ValueError. So is a list that repeats an entry, has one of another type than the default's, or is empty where the
    default has numbers: there is nothing to run over. Where the default is an empty list, any list passes.
    """
    known = defaults(notebook)
    for name, value in namespace.items():
        if name.startswith("_") or name in ("In", "Out") or not isinstance(value, LITERALS):
            continue
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise ValueError(
                f"{name}={value!r}: {notebook} has no such parameter{hint} Known: {', '.join(known)}"
            )
    params = {name: _checked(notebook, name, namespace[name], type(known[name])) for name in known}
    for name, value in params.items():
        if isinstance(value, list) and known[name]:
            _refuse_list(name, value, known[name])
    return params


def _refuse_list(name: str, value: list, default: list) -> None:
    """Raise ValueError where a list is not of the kind of its default, which is not empty."""
    kinds = {type(entry) for entry in default} | ({int} if type(default[0]) is float else set())
    if not value and int in kinds:
        raise ValueError(f"{name}=[]: must list at least one number")
    if wrong := [entry for entry in value if type(entry) not in kinds]:
        raise ValueError(f"{name}={value}: {wrong[0]!r} must be of the kind of {default[0]!r}")
    if twice := [entry for i, entry in enumerate(value) if entry in value[:i]]:
        raise ValueError(f"{name}={value}: {twice[0]!r} is named twice")


def _finite(value) -> bool:
    """Whether no number in it, however deep, is NaN or infinite."""
    if isinstance(value, list | dict):
        return all(map(_finite, value.values() if isinstance(value, dict) else value))
    return type(value) is not float or math.isfinite(value)


def _checked(notebook: str, name: str, value, expected: type):
    number = type(value) in (int, float)
    if not _finite(value):
        raise ValueError(f"{name}={value!r}: must be a finite number")
    if number and expected in (float, type(None)):
        return float(value)  # None stands for a default number
    if type(value) is not expected:
        raise ValueError(
            f"{name}={value!r}: {notebook} takes {expected.__name__} here, not {type(value).__name__}"
        )
    return value
