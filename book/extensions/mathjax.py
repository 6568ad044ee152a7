"""MathJax from this machine: the few files of its distribution that our formulas need, copied into the book."""

from importlib.util import find_spec
from pathlib import Path

from sphinx.util.fileutil import copy_asset

FILES = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")  # the rest is 20 MB


def copy(app, error) -> None:
    if error is None and app.builder.format == "html":
        source = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
        for name in FILES:
            target = Path(app.outdir, "_static", "mathjax", name)
            copy_asset(source / name, target.parent if target.suffix else target)


def setup(app) -> dict:
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.config.mathjax3_config = {"options": {"enableMenu": False}}
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True}
