"""API pages from signatures and docstrings: the directive `{api} tiwlib.objectives`, or a package.

The source is parsed, not imported, so that the book needs no torch and shows annotations and defaults as they are
written. Docstrings are Markdown; a first line, then shapes, units, range and errors.
"""

import ast
import inspect
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

PROJECT = Path(__file__).resolve().parents[2]


def modules(name: str) -> list[str]:
    """The public modules of a package, itself first; a module alone stands for itself."""
    folder = PROJECT.joinpath(*name.split("."))
    if not folder.is_dir():
        return [name]
    inner = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    return [name, *(f"{name}.{stem}" for stem in inner)]


def source(module: str) -> Path:
    """The file of a module or package, relative to the repository."""
    path = Path(*module.split("."))
    return path / "__init__.py" if (PROJECT / path).is_dir() else path.with_suffix(".py")


def tree(module: str) -> ast.Module:
    path = PROJECT / source(module)
    if not path.exists():
        raise ValueError(f"api: {module} is no module: {path} is missing")
    return ast.parse(path.read_text())


def documented(body: list[ast.stmt]) -> list:
    """The public functions and classes of a body that have a docstring."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [n for n in body if isinstance(n, kinds) and not n.name.startswith("_") and ast.get_docstring(n)]


def names(module: str) -> set[str]:
    """The dotted names that a module's page has an entry for, the module's own with them."""
    entries = {module}
    for node in documented(tree(module).body):
        entries.add(f"{module}.{node.name}")
        if isinstance(node, ast.ClassDef):
            entries |= {f"{module}.{node.name}.{inner.name}" for inner in documented(node.body)}
    return entries


def decorators(node) -> dict[str, ast.expr]:
    """The decorators of a definition by name: {"dataclass": ...}."""
    called = {d.func if isinstance(d, ast.Call) else d: d for d in node.decorator_list}
    return {ast.unparse(name): expression for name, expression in called.items()}


def parameters(node: ast.FunctionDef, bound: bool) -> str:
    """(x0: Tensor, ...) -> Tensor, without self or cls of a bound method."""
    arguments = node.args
    if bound:
        first = arguments.posonlyargs or arguments.args
        first.pop(0)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(arguments)}){returns}"


def constructor(node: ast.ClassDef) -> str:
    """What a class is called with: the fields of a dataclass, or the arguments of __init__."""
    data = decorators(node).get("dataclass")
    if data is not None:
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and not n.target.id.startswith("_")]
        keywords = data.keywords if isinstance(data, ast.Call) else []
        star = ["*"] if any(k.arg == "kw_only" and k.value.value for k in keywords) else []
        return f"({', '.join([*star, *map(field, fields)])})"
    made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    return parameters(made[0], bound=True) if made else ""


def field(node: ast.AnnAssign) -> str:
    default = node.value
    if isinstance(default, ast.Call) and ast.unparse(default.func).endswith("field"):
        default = next((k.value for k in default.keywords if k.arg in ("default", "default_factory")), None)
    return f"{node.target.id}: {ast.unparse(node.annotation)}" + (
        f" = {ast.unparse(default)}" if default else ""
    )


def entry(node, prefix: str = "", fence: str = "::::::") -> str:
    """A function, class or method as MyST: the directive of Sphinx's Python domain around its docstring."""
    inner = ""
    if isinstance(node, ast.ClassDef):
        kind, signature = "class", constructor(node)
        inner = "\n\n".join(entry(n, f"{prefix}{node.name}.", fence[1:]) for n in documented(node.body))
    elif not prefix:
        kind, signature = "function", parameters(node, bound=False)
    else:
        marks = decorators(node)
        kind = next((m for m in ("property", "classmethod", "staticmethod") if m in marks), "method")
        signature = "" if kind == "property" else parameters(node, bound=kind != "staticmethod")
    return f"{fence}{{py:{kind}}} {prefix}{node.name}{signature}\n\n{paragraphs(node)}\n\n{inner}\n{fence}"


def paragraphs(node) -> str:
    return inspect.cleandoc(ast.get_docstring(node) or "")


def page(name: str) -> str:
    """The page of a module, or of a package with a section for each module in it, for a file in book/api/."""
    parts = []
    for level, module in enumerate(modules(name)):
        parsed = tree(module)
        parts.append(f"{'##' if level else '#'} `{module}`")
        parts.append(f":::{{py:module}} {module}\n:::")
        parts.append(paragraphs(parsed))
        parts.append(f"[{source(module).as_posix()}](../../{source(module).as_posix()})" + "{.source}")
        parts.append(f":::{{py:currentmodule}} {module}\n:::")
        parts += [entry(node) for node in documented(parsed.body)]
    return "\n\n".join(parts)


def contents(*pages: str) -> str:
    """A table of the pages of these modules of tiwlib, each with the first sentence of its docstring."""
    lines = ["{.modules}", "| module | what it is |", "|---|---|"]
    for name in pages:
        first = paragraphs(tree(f"tiwlib.{name}")).split("\n\n")[0]
        lines.append(f"| [{name}]({name}.md) | {' '.join(first.split())} |")
    return "\n".join(lines)


class Api(SphinxDirective):
    """The page of the module or package that is named."""

    required_arguments = 1

    def run(self) -> list:
        for module in modules(self.arguments[0]):
            self.env.note_dependency(str(PROJECT / source(module)))
        return self.parse_text_to_nodes(page(self.arguments[0]), allow_section_headings=True)


def setup(app) -> dict:
    app.add_directive("api", Api)
    return {"parallel_read_safe": True}
