"""What the browser cannot know: which columns hold words, and that a comma belongs to the formula before it."""

from docutils import nodes

WORDS, SENTENCES = 12, 45  # characters of a column's longest cell, from which on it has a least width


def mark_columns(app, doctree) -> None:
    """Cells of a column of words get the class "words", of one of sentences "sentences": book.css has their widths."""
    for group in doctree.findall(nodes.tgroup):
        rows = [row.children for row in group.findall(nodes.row)]
        for column in zip(*rows, strict=False):
            longest = max(len(cell.astext()) for cell in column)
            kind = "sentences" if longest > SENTENCES else "words" if longest > WORDS else None
            for cell in column if kind else ():
                cell["classes"].append(kind)


def glue_punctuation(app, doctree) -> None:
    """A formula within a line keeps the bracket before and the punctuation after it: else they may stand alone."""
    for formula in list(doctree.findall(nodes.math)):
        parent, at = formula.parent, formula.parent.index(formula)
        before = parent[at - 1] if at else None
        after = parent[at + 1] if at + 1 < len(parent) else None
        opening = before.astext()[-1:] if isinstance(before, nodes.Text) and before.endswith("(") else ""
        text = after.astext() if isinstance(after, nodes.Text) else ""
        closing = text[: len(text) - len(text.lstrip(".,;:)?"))]
        if not opening and not closing:
            continue
        glued = nodes.inline("", opening, classes=["glued"])
        parent.replace(formula, glued)
        glued += [formula, nodes.Text(closing)]
        if opening:
            parent.replace(before, nodes.Text(before.astext()[:-1]))
        if closing:
            parent.replace(after, nodes.Text(text[len(closing) :]))


def setup(app) -> dict:
    app.connect("doctree-read", mark_columns)
    app.connect("doctree-read", glue_punctuation)
    return {"parallel_read_safe": True}
