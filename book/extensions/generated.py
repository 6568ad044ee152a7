"""A part of a page that code makes: `{generated} ledger_page table` becomes what ledger_page.table() returns."""

from importlib import import_module

from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """The Markdown that a function of a module in this folder returns; further words are its arguments."""

    required_arguments = 2
    optional_arguments = 20

    def run(self) -> list:
        module, function, *arguments = self.arguments
        self.env.note_reread()  # for the function may read anything
        try:
            markdown = getattr(import_module(module), function)(*arguments)
        except ValueError as error:
            raise self.error(f"{module}.{function}: {error}") from error
        return self.parse_text_to_nodes(markdown, allow_section_headings=True)


def setup(app) -> dict:
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True}
