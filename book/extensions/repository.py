"""Where the code lies: links from pages to files of the repository, and the buttons that launch a notebook.

The address is $BOOK_REPOSITORY (owner/name on GitHub, or a URL), else that of the git remote `origin`. Without one
a link to a file becomes a download and there are no buttons.
"""

import os
import re
import subprocess
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

LAUNCHED = ("01", "02", "03", "04")  # notebooks that need nothing but a CPU and a few minutes
BRANCH = "main"


def github(address: str) -> str | None:
    """owner/name of an address on GitHub, else None: "https://github.com/a/b.git", "git@github.com:a/b"."""
    matched = re.fullmatch(r".*\bgithub\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", address.strip())
    return matched[1] if matched else None


def repository(project: Path) -> str | None:
    """owner/name of this repository on GitHub, None where neither the variable nor a remote says it."""
    if named := os.environ.get("BOOK_REPOSITORY"):
        address = named if "github.com" in named else f"github.com/{named}"
        if not github(address):
            raise ValueError(f"BOOK_REPOSITORY={named!r}: must be owner/name or an address on github.com")
        return github(address)
    command = ["git", "-C", str(project), "remote", "get-url", "origin"]
    remote = subprocess.run(command, capture_output=True, text=True)
    return github(remote.stdout) if remote.returncode == 0 else None


def link_files(app, doctree) -> None:
    """Links to files of the repository lead to GitHub, if it is there; a link to a folder is plain text if not."""
    name = app.config.book_repository
    folder = Path(app.srcdir, app.env.docname).parent
    for node in list(doctree.findall(addnodes.download_reference)):
        if name and "reftarget" in node:
            path = (folder / node["reftarget"]).resolve().relative_to(app.srcdir)
            node.replace_self(
                _link(f"https://github.com/{name}/blob/{BRANCH}/{path.as_posix()}", node.children)
            )
    for node in list(doctree.findall(addnodes.pending_xref)):
        path = (folder / node.get("reftarget", "")).resolve()
        if node.get("reftype") == "myst" and path.is_dir() and path.is_relative_to(app.srcdir):
            path = path.relative_to(app.srcdir)
            address = f"https://github.com/{name}/tree/{BRANCH}/{path.as_posix()}"
            node.replace_self(_link(address, node.children) if name else node.children)


def add_buttons(app, doctree) -> None:
    """Below the title of a notebook: the file itself, and where it can be run in the browser."""
    docname, name = app.env.docname, app.config.book_repository
    file = Path(app.srcdir, f"{docname}.ipynb")
    title = next(doctree.findall(nodes.title), None)
    if not file.exists() or title is None:
        return
    links = [addnodes.download_reference("", "", nodes.Text("Download"), reftarget=f"/{docname}.ipynb")]
    links[0]["refdoc"] = docname
    if name and file.name[:2] in LAUNCHED:
        binder = f"https://mybinder.org/v2/gh/{name}/{BRANCH}?urlpath=lab/tree/{docname}.ipynb"
        colab = f"https://colab.research.google.com/github/{name}/blob/{BRANCH}/{docname}.ipynb"
        links += [_link(binder, [nodes.Text("Open in Binder")]), _link(colab, [nodes.Text("Open in Colab")])]
    buttons = nodes.paragraph("", "", *links, classes=["launch"])
    title.parent.insert(title.parent.index(title) + 1, buttons)


def _link(address: str, children: list) -> nodes.reference:
    return nodes.reference("", "", *children, refuri=address, internal=False)


def setup(app) -> dict:
    project = Path(__file__).resolve().parents[2]
    app.add_config_value("book_repository", repository(project), "env", types=(str, type(None)))
    # Before Sphinx collects what is downloaded (500); buttons last, for theirs stays a download.
    app.connect("doctree-read", link_files, priority=300)
    app.connect("doctree-read", add_buttons, priority=400)
    return {"parallel_read_safe": True}
