"""The book is built once for all tests of a run, whichever worker comes first."""

import os

import pytest
from built_book import Book, build
from filelock import FileLock


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Book:
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder  # the workers' common folder
    folder = folder / "book"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            done = build(folder)
            (folder / "failed").write_text(done.stdout + done.stderr) if done.returncode else None
    assert not (folder / "failed").exists(), (folder / "failed").read_text()
    return Book(folder / "html")
