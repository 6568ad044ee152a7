"""The book, built once for a test module, and its pages as parsed HTML."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]


def build(folder: Path, source: Path = ROOT, repository: str = "") -> subprocess.CompletedProcess:
    """Sphinx as `make book` calls it, into folder/html; warnings are errors."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", str(source / "book")]
    command += ["-d", str(folder / "doctrees"), str(source), str(folder / "html")]
    environment = os.environ | {"BOOK_REPOSITORY": repository}
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)


@dataclass(frozen=True)
class Book:
    """A built book."""

    folder: Path

    @cached_property
    def pages(self) -> dict[str, BeautifulSoup]:
        """All pages by their path in the folder: "book/index.html"."""
        paths = sorted(self.folder.rglob("*.html"))
        names = [path.relative_to(self.folder).as_posix() for path in paths if "_static" not in path.parts]
        return {
            name: BeautifulSoup((self.folder / name).read_text(encoding="utf-8"), "html.parser")
            for name in names
        }

    @cached_property
    def ids(self) -> dict[str, set[str]]:
        """The ids of each page."""
        return {name: {tag["id"] for tag in page.find_all(id=True)} for name, page in self.pages.items()}

    def unresolved(self, name: str) -> list[str]:
        """The links and sources of a page that lead to no file of the book, or to no id of its page."""
        return [link for link in links(self.pages[name]) if not self.leads_somewhere(name, link)]

    def leads_somewhere(self, name: str, link: str) -> bool:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return True
        path = (self.folder / name).parent / unquote(parts.path) if parts.path else self.folder / name
        target = path.resolve()
        if not target.is_file():
            return False
        if not parts.fragment or target.suffix != ".html":
            return True
        return unquote(parts.fragment) in self.ids[target.relative_to(self.folder).as_posix()]


def links(page: BeautifulSoup) -> list[str]:
    """Every href and src of a page, but for the empty anchor."""
    tags = page.find_all(["a", "link", "script", "img", "source", "iframe"])
    values = [tag.get(key) for tag in tags for key in ("href", "src")]
    return [value for value in values if value and value != "#"]


def other_hosts(page: BeautifulSoup) -> list[str]:
    """What a page loads from another host: scripts, styles, icons, pictures, frames; links for readers are free."""
    tags = page.find_all(["link", "script", "img", "source", "iframe", "video", "audio", "embed", "object"])
    values = [tag.get(key) or "" for tag in tags for key in ("href", "src", "data", "srcset")]
    return [value for value in values if urlsplit(value).netloc]


def without_text(page: BeautifulSoup) -> list[str]:
    """The pictures of a page that have no alternative text."""
    return [image.get("src", "") for image in page.find_all("img") if not (image.get("alt") or "").strip()]
