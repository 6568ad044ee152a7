"""Settings of the book. `make book` builds it from the committed notebooks; nothing is executed, nothing is fetched.

The source is the whole repository, so that a link from a page to a notebook is the same on GitHub and in the book.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "book" / "extensions")]

project = "Unbiased diffusion models from biased data"
html_title = "Unbiased diffusion<br>from biased data"
html_short_title = "Unbiased diffusion from biased data"
copyright = "the contributors, MIT licence"
language = "en"
smartquotes = False  # -- and ... stand in commands and shapes

root_doc = "book/index"
include_patterns = ["book/**.md", "notebooks/[0-9]*.ipynb", "docs/*.md", "data/README.md", "CONTRIBUTING.md"]
include_patterns += ["pretrained/*/README.md"]
exclude_patterns = ["build", ".*", "results", "checkpoints", "**/.ipynb_checkpoints", "shared"]
exclude_patterns += ["docs/ledger.md"]  # the same claims for GitHub; book/ledger.md has them here
# An annotation in a signature names a class by its last name alone, which two modules may share.
suppress_warnings = ["ref.python"]

extensions = ["myst_nb", "sphinx.ext.mathjax", "generated", "api", "mathjax", "repository", "notebook_pages"]
extensions += ["typesetting"]

nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars
nb_code_prompt_show = "Show the code of this bookkeeping cell"
nb_code_prompt_hide = "Hide it"
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

html_theme = "furo"
html_static_path = ["_static"]
html_extra_path = ["_root"]  # leads from the root to the first page
html_favicon = "_static/favicon.svg"
html_css_files = ["book.css"]
html_js_files = [("ledger.js", {"type": "module"})]
html_copy_source = False
html_show_sphinx = False
html_scaled_image_link = True
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b5a8f",
        "color-brand-content": "#0b5a8f",
        "color-brand-visited": "#6a3d8f",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7fc4f5",
        "color-brand-content": "#7fc4f5",
        "color-brand-visited": "#cba6f0",
    },
}
python_maximum_signature_line_length = 72
add_module_names = False
