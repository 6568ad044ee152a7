"""A part of a page that code makes: `{generated} ledger/page.py table` is replaced by the Markdown that table() returns."""

import runpy
from pathlib import Path

from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """The Markdown that a function of a file in this repository returns; further words are its arguments."""

    required_arguments = 2
    optional_arguments = 9

    def run(self) -> list:
        path, function, *arguments = self.arguments
        self.env.note_reread()  # for the function may read anything
        try:
            markdown = runpy.run_path(Path(self.env.srcdir, path))[function](*arguments)
        except (OSError, KeyError, ValueError) as error:
            raise self.error(f"{path} {function}: {error!r}") from error
        return self.parse_text_to_nodes(markdown, allow_section_headings=True)


def setup(app) -> dict:
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True}
