"""What a notebook needs to become a page: bookkeeping cells folded, lines joined, figures with a text and a link.

And the list of notebooks on the first page.
"""

import json
import re
from pathlib import Path

from docutils import nodes

PROJECT = Path(__file__).resolve().parents[2]
DOTS = 200  # an inch of a figure: runs/record.py
BOOKKEEPING = "bookkeeping"  # the tag of cells that a reader of the page may skip


def prepare(app, docname: str, source: list[str]) -> None:
    """Cells with that tag show a line that unfolds them, by myst-nb's own tag; lines printed in a row are one block."""
    if app.env.doc2path(docname).suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if BOOKKEEPING in tags:
            cell["metadata"]["tags"] = [*tags, "hide-input"]
        if cell["cell_type"] == "code":
            cell["outputs"] = joined(cell["outputs"])
    source[0] = json.dumps(notebook)


def joined(outputs: list[dict]) -> list[dict]:
    """Outputs of a cell; a stream that follows the same one goes on with it, for a kernel cuts them by the clock."""
    found = []
    for output in outputs:
        if found and output["output_type"] == "stream" and found[-1].get("name") == output["name"]:
            found[-1] = output | {"text": "".join(found[-1]["text"]) + "".join(output["text"])}
        else:
            found.append(output)
    return found


def describe_figures(app, doctree) -> None:
    """A figure without an alternative text (the cell's metadata: mystnb.image.alt) gets its caption as one.

    The caption is the paragraph below it that begins with a bold "Figure"; without one its section's title stands in.
    Each also gets a width, for Sphinx links scaled images to their full size. That of a notebook's figure is its width
    in inches, which has 200 dots; of others the style sheet undoes the scaling.
    """
    for image in doctree.findall(nodes.image):
        if not image.get("alt"):
            image["alt"] = caption(image)
        image["width"] = "100%"
        if app.env.docname.startswith("notebooks/") and (pixels := width_of(Path(app.srcdir, image["uri"]))):
            image["width"] = f"{pixels / DOTS:.2f}in"


def width_of(path: Path) -> int | None:
    """The width of a PNG in pixels; None for another file."""
    start = path.read_bytes()[:24]
    return int.from_bytes(start[16:20], "big") if start.startswith(b"\x89PNG") else None


def caption(image: nodes.image) -> str:
    """What is said of a figure, in words."""
    cell = image
    while not isinstance(cell.parent, nodes.section):
        cell = cell.parent
    section = cell.parent
    below = next(iter(section[section.index(cell) + 1 :]), None)
    words = [node for node in below.children if node.astext()] if isinstance(below, nodes.paragraph) else []
    if words and isinstance(words[0], nodes.strong) and words[0].astext().startswith("Figure"):
        return " ".join(below.astext().split())
    return f"Figure of the section “{section.next_node(nodes.title).astext()}”"


def contents() -> str:
    """A table of the notebooks: title, the question that each opens with, how long the run took that it shows."""
    lines = ["{.notebooks}", "| notebook | question | time |", "|---|---|---:|"]
    for path in sorted((PROJECT / "notebooks").glob("[0-9]*.ipynb")):
        text = path.read_text(encoding="utf-8")
        first = "".join(json.loads(text)["cells"][0]["source"])
        title = re.search(r"^# (.+)$", first, re.MULTILINE)
        question = re.search(r"\*\*Question\.\*\*\s+(.+?)(?:\n\n|\Z)", first, re.DOTALL)
        if not (title and question):
            raise ValueError(f"{path.name}: the first cell must have a title and a **Question.**")
        link = f"[{title[1]}](../notebooks/{path.name})"
        lines.append(f"| {link} | {' '.join(question[1].split())} | {took(path.stem, text)} |")
    return "\n".join(lines)


def took(name: str, text: str) -> str:
    """Seconds of the run whose outputs a notebook shows: its last cell prints the name of the record."""
    run = re.search(r'^ *"recorded: ([^"\\]+)', text, re.MULTILINE)
    record = PROJECT / "results" / name / (run[1] if run else "") / "provenance.json"
    if not run or not record.exists():
        return ""
    provenance = json.loads(record.read_text(encoding="utf-8"))
    return f"{provenance.get('cpu_seconds', provenance['wall_seconds']):.0f} s"


def setup(app) -> dict:
    app.connect("source-read", prepare)
    app.connect("doctree-read", describe_figures)
    return {"parallel_read_safe": True}
