"""What a notebook needs to become a page: bookkeeping cells folded, figures with a text and a link to full size."""

import json

from docutils import nodes

BOOKKEEPING = "bookkeeping"  # the tag of cells that a reader of the page may skip


def fold_bookkeeping(app, docname: str, source: list[str]) -> None:
    """Cells with that tag show a line that unfolds them, by myst-nb's own tag."""
    if not app.env.doc2path(docname).suffix == ".ipynb":
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if BOOKKEEPING in tags:
            cell["metadata"]["tags"] = [*tags, "hide-input"]
    source[0] = json.dumps(notebook)


def describe_figures(app, doctree) -> None:
    """A figure without an alternative text (the cell's metadata: mystnb.image.alt) gets its section's title as one.

    Each also gets a width, for Sphinx links scaled images to their full size; the style sheet undoes the scaling.
    """
    for image in doctree.findall(nodes.image):
        if not image.get("alt"):
            section = image.parent
            while not isinstance(section, nodes.section):
                section = section.parent
            image["alt"] = f"Figure of the section “{section.next_node(nodes.title).astext()}”"
        image["width"] = "100%"


def setup(app) -> dict:
    app.connect("source-read", fold_bookkeeping)
    app.connect("doctree-read", describe_figures)
    return {"parallel_read_safe": True}
