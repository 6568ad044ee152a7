"""What the browser cannot know: which columns hold words, and that a comma belongs to the formula before it."""

from docutils import nodes

WORDS, SENTENCES = 12, 28  # letters in a column's longest cell, from which on the column has a least width
CODE = 15  # letters of a name in code, from which on it may be broken on a narrow screen


def mark_columns(app, doctree) -> None:
    """Cells of a column of words, sentences or code get the class of that name, which has a width in book.css."""
    for body in doctree.findall(nodes.tbody):
        rows = [row.children for row in body.findall(nodes.row)]
        rows += [row.children for head in body.parent.findall(nodes.thead) for row in head.findall(nodes.row)]
        for column in zip(*rows, strict=False):
            longest = max(sum(map(str.isalpha, cell.astext())) for cell in column[: len(body)])
            kinds = ["sentences"] if longest > SENTENCES else ["words"] if longest > WORDS else []
            literals = [code for cell in column for code in cell.findall(nodes.literal)]
            kinds += ["code"] if any(len(code.astext()) > CODE for code in literals) else []
            for cell in column:
                cell["classes"] += kinds


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
