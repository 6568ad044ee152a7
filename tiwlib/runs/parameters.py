"""The parameters of a notebook: what its parameters cell declares, and whether a run's values agree with it."""

import ast
import difflib
import json
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
        of_ipython = name in ("In", "Out") or (name.startswith("_") and name.strip("_") not in known)
        if of_ipython or not isinstance(value, LITERALS):
            continue
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise ValueError(
                f"{name}={value!r}: {notebook} has no such parameter{hint} Known: {', '.join(known)}"
            )
    return {name: _checked(notebook, name, namespace[name], default) for name, default in known.items()}


def _checked(notebook: str, name: str, value, default):
    """The value of a parameter, or a ValueError that names it. None stands for a default number."""
    expected = type(default)
    if type(value) in (int, float) and expected in (float, type(None)):
        value = float(value)
    elif type(value) is not expected:
        kind = "a number or None" if default is None else expected.__name__
        raise ValueError(f"{name}={value!r}: {notebook} takes {kind} here, not {type(value).__name__}")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError(f"{name}={value!r}: must be a finite number") from None
    if expected is list and default:
        _refuse_list(name, value, default)
    return value


def _refuse_list(name: str, value: list, default: list) -> None:
    """Raise ValueError where a list is not of the kind of its default, which is not empty."""
    kinds = {type(entry) for entry in default} | ({int} if type(default[0]) is float else set())
    if not value and int in kinds:
        raise ValueError(f"{name}=[]: must list at least one number")
    for i, entry in enumerate(value):
        if type(entry) not in kinds:
            raise ValueError(f"{name}={value}: {entry!r} must be of the kind of {default[0]!r}")
        if entry in value[:i]:
            raise ValueError(f"{name}={value}: {entry!r} is named twice")
