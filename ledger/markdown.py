"""Tables in Markdown, whose cells come from records."""

import html
import re
from collections.abc import Iterable

from tiwlib.measures.intervals import as_text
from tiwlib.measures.intervals import cell as cell_of


def plain(value) -> str:
    """A value of a record as text that no page can take for HTML, for a link or for the end of a cell."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*\[\]|])", r"\\\1", text)


def line(*cells: str) -> str:
    """A row of a table, its cells as they are."""
    return "| " + " | ".join(cells) + " |"


def row(*cells) -> str:
    """A row of a table whose cells come from records."""
    return line(*map(plain, cells))


def header(*names: str) -> list[str]:
    return [line(*names), line(*["---"] * len(names))]


def text_of(values: Iterable[float], metric: str = "") -> str:
    """The mean of a cell's seeds with its interval; nothing where there is no row."""
    values = list(values)
    return as_text(cell_of(values), metric) if values else ""
