"""Names and values in a file that a person wrote, or might have changed: JSON and YAML, read without guessing."""

import json
import re
from collections import Counter
from pathlib import Path

import yaml
from yaml.constructor import ConstructorError


def read(path: str | Path) -> dict:
    """The mapping that a file holds: JSON where its name ends so, YAML else.

    A ValueError that names the file where it cannot be read or holds no mapping, and where a key is there twice: both
    formats would take the last. So is a number of JSON that is none (NaN).
    """
    try:
        text = Path(path).read_text("utf-8")
        if Path(path).suffix == ".json":
            content = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
        else:
            content = yaml.load(text, Loader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path}: cannot be read: {reason}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must hold names and values, not {type(content).__name__}")
    return content


def _once(pairs: list[tuple]) -> dict:
    for name, number in Counter(name for name, _ in pairs).items():
        if number > 1:
            raise ValueError(f"{name} is there twice")
    return dict(pairs)


def _refuse(constant: str):
    raise ValueError(f"{constant} is no number")


class Loader(yaml.SafeLoader):
    """YAML whose numbers are what they look like, and whose keys are names: 1.1 takes 3e-4 for text, 010 for eight."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":int", ":float"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node, deep=False):
        names = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if not key.tag.endswith((":str", ":merge")):
                raise ConstructorError(None, None, f"{key.value} is no name", key.start_mark)
            if names.count(key.value) > 1:
                raise ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
        return super().construct_mapping(node, deep)


INT, FLOAT = r"^[-+]?(0|[1-9]\d*)$", r"^[-+]?((\d+\.\d*|\.\d+)([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|nan))$"
for tag, pattern in (("int", INT), ("float", FLOAT)):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list("-+.0123456789"))
