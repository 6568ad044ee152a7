"""The book as files: it builds without a warning, its links lead somewhere, it loads nothing from elsewhere."""

import base64
import json
import os
import re
import shutil
import sys

import pytest
import yaml
from bs4 import BeautifulSoup
from built_book import ROOT, Book, build, other_hosts, without_text
from sample_images import encoded

sys.path[:0] = [str(ROOT / "book" / "extensions")]
import api  # noqa: E402
import ledger_page  # noqa: E402
import notebook_pages  # noqa: E402
import paper_map  # noqa: E402
import repository  # noqa: E402

PNG, OTHER_PNG = (base64.b64encode(encoded(seed)).decode() for seed in (0, 1))
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))


# ------------------------------------------------------------------------------------------ pages


def test_every_notebook_and_page_of_the_docs_is_in_the_book(book):
    wanted = [f"notebooks/{stem}.html" for stem in NOTEBOOKS]
    wanted += [f"docs/{path.stem}.html" for path in (ROOT / "docs").glob("[!l]*.md")]  # not ledger.md
    wanted += [
        f"book/{name}.html"
        for name in ("index", "paper", "questions", "ledger", "notation", "checklists", "own_images")
    ]
    wanted += ["book/interactive/index.html", "data/README.html", "search.html", "genindex.html"]
    assert set(wanted) <= set(book.pages)
    sidebar = book.pages["book/index.html"].find(class_="sidebar-tree").find_all("a")
    assert {f"notebooks/{stem}.html" for stem in NOTEBOOKS} <= {
        a["href"].removeprefix("../") for a in sidebar
    }


def test_links_and_pictures_lead_somewhere(book):
    assert {name: found for name in book.pages if (found := book.unresolved(name))} == {}


def test_a_link_that_leads_nowhere_is_seen(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html"></a><a href="#there"></a><a href="#here"></a>'
    )
    assert Book(tmp_path).unresolved("a.html") == ["b.html", "#there"]


def test_every_picture_has_a_text(book):
    assert {name: found for name, page in book.pages.items() if (found := without_text(page))} == {}
    assert without_text(
        BeautifulSoup('<img src="a.png" alt=" "><img src="b.png" alt="b">', "html.parser")
    ) == ["a.png"]


def test_nothing_is_loaded_from_another_host(book):
    assert {name: found for name, page in book.pages.items() if (found := other_hosts(page))} == {}
    foreign = '<script src="https://cdn.example/m.js"></script><a href="https://arxiv.org">paper</a>'
    assert other_hosts(BeautifulSoup(foreign, "html.parser")) == ["https://cdn.example/m.js"]
    for path in (book.folder / "_static").rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text(encoding="utf-8")), (
            path.name
        )


def test_a_page_reads_without_scripts(book):
    """Text, tables and formulas are in the HTML itself; a script adds to them."""
    ledger = book.pages["book/ledger.html"].get_text(" ")
    claims = ledger_page.claims()
    assert all(claim["statement"] in " ".join(ledger.split()) for claim in claims)
    notebook = book.pages[f"notebooks/{NOTEBOOKS[0]}.html"]
    assert any("\\sigma" in formula.get_text() for formula in notebook.find_all(class_="math"))
    assert notebook.find("article").find("img")


def test_what_a_notebook_gets(tmp_path):
    """Folded bookkeeping cells, figures with a text, launch buttons. A link that leads nowhere fails the build."""
    source = tmp_path / "source"
    (source / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "book" / "extensions", source / "book" / "extensions")
    shutil.copytree(ROOT / "book" / "_static", source / "book" / "_static")
    shutil.copytree(ROOT / "book" / "_root", source / "book" / "_root")
    shutil.copy(ROOT / "book" / "conf.py", source / "book")
    (source / "book" / "index.md").write_text("# Start\n\n```{toctree}\n../notebooks/01_a\n```\n")
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# A notebook"},
        {"cell_type": "code", "metadata": {"tags": ["bookkeeping"]}, "source": "folded = 1"},
        {"cell_type": "code", "metadata": {}, "source": "shown = 2"},
    ]
    for cell in cells[1:]:
        cell |= {"outputs": [], "execution_count": None}
    picture = {"output_type": "display_data", "data": {"image/png": PNG}, "metadata": {}}
    cells[2] |= {"outputs": [picture], "metadata": {"mystnb": {"image": {"alt": "Two modes."}}}}
    cells.append(cells[2] | {"outputs": [picture | {"data": {"image/png": OTHER_PNG}}], "metadata": {}})
    said = "**Figure: modes.** One bold word,\nand $x$."
    cells += [dict(cells[-1]), {"cell_type": "markdown", "metadata": {}, "source": said}]
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": KERNEL},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    (source / "notebooks" / "01_a.ipynb").write_text(json.dumps(notebook))
    encoded_width = int.from_bytes(base64.b64decode(PNG)[16:20], "big")
    done = build(tmp_path, source, repository="owner/name")
    assert done.returncode == 0, done.stderr
    page = Book(tmp_path / "html").pages["notebooks/01_a.html"]
    assert (
        "folded = 1" in page.find("details").get_text() and "shown = 2" not in page.find("details").get_text()
    )
    texts = [image["alt"] for image in page.find("article").find_all("img")]
    # the cell's own, its section's, or its caption
    assert texts == [
        "Two modes.",
        "Figure of the section “A notebook”",
        "Figure: modes. One bold word, and x.",
    ]
    styles = [image["style"] for image in page.find("article").find_all("img")]
    assert styles == [f"width: {encoded_width / 200:.2f}in;"] * 3, "200 dots of a figure are an inch"
    buttons = [a["href"] for a in page.find(class_="launch").find_all("a")]
    assert buttons[1].startswith("https://mybinder.org/v2/gh/owner/name/main")
    assert buttons[2] == "https://colab.research.google.com/github/owner/name/blob/main/notebooks/01_a.ipynb"
    (source / "book" / "index.md").write_text(
        "# Start\n\n[nowhere](nowhere.md)\n\n```{toctree}\n../notebooks/01_a\n```\n"
    )
    done = build(tmp_path, source)
    assert done.returncode != 0 and "nowhere.md" in done.stderr  # warnings are errors


def test_lines_that_a_cell_prints_in_a_row_are_one_block():
    line = {"output_type": "stream", "name": "stdout", "text": ["a\n"]}
    table = {"output_type": "display_data", "data": {}, "metadata": {}}
    found = notebook_pages.joined([line, line | {"text": "b\n"}, table, line, line | {"name": "stderr"}])
    assert [output.get("text") for output in found] == ["a\nb\n", None, ["a\n"], ["a\n"]]


def test_the_time_of_a_notebook_is_that_of_the_run_it_shows(book):
    times = [
        row.find_all("td")[-1].get_text()
        for row in book.pages["book/index.html"].select("table.notebooks tr")[1:]
    ]
    assert all(re.fullmatch(r"\d+ s", time) for time in times) and len(times) == len(NOTEBOOKS)
    provenance = json.loads((ROOT / "results" / NOTEBOOKS[0] / "default" / "provenance.json").read_text())
    assert times[0] == f"{provenance.get('cpu_seconds', provenance['wall_seconds']):.0f} s"
    assert notebook_pages.took(NOTEBOOKS[0], '"print(f\\"recorded: {run}\\")"') == "", "the code is no output"


def test_columns_of_words_and_formulas_before_a_comma(book):
    cells = book.pages["book/notation.html"].find("table").find_all("tr")[-1].find_all("td")
    assert ["sentences" in cell.get("class", []) for cell in cells] == [False, False, True, False]
    assert "code" in cells[1]["class"], "a long name in code may be broken"
    glued = [span.get_text() for span in book.pages["book/notation.html"].select(".glued")]
    assert glued and all(text[0] == "(" or text[-1] in ".,;:)?" for text in glued)


def test_without_an_address_there_are_no_launch_buttons(book, monkeypatch):
    page = book.pages[f"notebooks/{NOTEBOOKS[0]}.html"]
    assert [a.get_text() for a in page.find(class_="launch").find_all("a")] == ["Download"]


@pytest.mark.parametrize(
    "address, name",
    [
        ("https://github.com/owner/name.git", "owner/name"),
        ("git@github.com:owner/name\n", "owner/name"),
        ("ssh://git@github.com/owner/na.me", "owner/na.me"),
        ("https://example.org/owner/name", None),
        ("/srv/git/name", None),
    ],
)
def test_the_address_of_the_repository(address, name):
    assert repository.github(address) == name


def test_a_wrong_address_is_an_error(monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY", "owner")
    with pytest.raises(ValueError, match="BOOK_REPOSITORY='owner'"):
        repository.repository(ROOT)
    monkeypatch.setenv("BOOK_REPOSITORY", "owner/name")
    assert repository.repository(ROOT) == "owner/name"


# ------------------------------------------------------------------------------------------ ledger and paper


def test_every_claim_has_a_tile_and_a_row_that_can_be_read_alone(book):
    page, claims = book.pages["book/ledger.html"], ledger_page.claims()
    tiles = page.select("table.heat a.tile")
    assert len(tiles) == len(claims) == len(page.select("table.claims tbody tr"))
    for claim in claims:
        row = page.find(id=ledger_page.anchor(claim)).find_parent("tr").get_text(" ")
        for part in (claim["statement"], claim["setting"], claim["command"], claim["rule"], claim["verdict"]):
            assert part in " ".join(row.split())
    counts = page.select_one("table:not(.heat):not(.claims)").get_text(" ").split()
    for verdict in {claim["verdict"] for claim in claims}:
        assert str(sum(claim["verdict"] == verdict for claim in claims)) in counts


def test_the_numbers_of_a_row(monkeypatch):
    claim = {
        "id": "a",
        "value": 0.51234,
        "low": 0.5,
        "high": 0.6,
        "values": [0.4, 0.5, 0.6, 0.55],
        "seeds": [0, 1, 2, 3],
    }
    assert ledger_page.measured(claim) == "0.512 (0.5 to 0.6)" and ledger_page.basis(claim) == "4 seeds"
    few = claim | {"values": [0.4, 0.5, 0.62], "seeds": [0, 1, 2]}
    assert ledger_page.measured(few) == "0.4, 0.5, 0.62"  # too few for an interval
    assert ledger_page.measured({"id": "b"}) == "" and ledger_page.duration(30) == "30 s"
    records = [{"wall_seconds": s, "device": "cpu", "machine": "m"} for s in (100, 140)]
    monkeypatch.setattr(ledger_page, "run_records", lambda claim: records)
    assert ledger_page.effort(claim) == "2 runs, 4 min on cpu of m"


def test_each_question_has_its_claims_and_few_are_left_over():
    groups = ledger_page.by_question()
    assert sum(map(len, groups.values())) == len(ledger_page.claims())
    assert len(groups.get("Other claims", [])) <= len(ledger_page.claims()) / 10


def test_the_paper_map_names_what_exists():
    known = paper_map.entries()
    assert "tiwlib.objectives.tiw_dsm" in known
    with pytest.raises(ValueError, match="tiwlib.objectives.no_such"):
        paper_map.links_to_code(paper_map.Item("x", ("objectives.no_such",)), known)
    with pytest.raises(ValueError, match="no claim is called no-such-"):
        paper_map.of(paper_map.Item("x", claims=("no-such-*",)))
    with pytest.raises(ValueError, match="no notebook 99"):
        paper_map.links_to_notebooks(paper_map.Item("x", notebook="99"))


def test_the_paper_map_has_our_number_beside_the_papers_statement(book):
    text = " ".join(book.pages["book/paper.html"].get_text(" ").split())
    for claim in ledger_page.claims():
        if claim["id"] in ("theorem-1", "ratio-error-39"):
            assert claim["statement"] in text and ledger_page.measured(claim) in text
    assert "not yet" in text


def test_no_number_is_typed_into_the_paper_map():
    """The paper's numbers stand in the claims: between its items only sizes of sets, equations and notebooks do."""
    items = (*paper_map.EQUATIONS, *paper_map.FIGURES, *paper_map.TABLES, *paper_map.SETTINGS)
    assert not [item.text for item in items if re.search(r"\d\.\d", item.text)]


# ------------------------------------------------------------------------------------------ API


def test_every_public_module_is_on_one_api_page():
    pages = [path.stem for path in (ROOT / "book" / "api").glob("*.md") if path.stem != "index"]
    shown = [module for page in pages for module in api.modules(f"tiwlib.{page}")]
    files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "tiwlib").rglob("*.py")]
    public = {".".join(path.parts) for path in files if not path.name.startswith("_")} - {
        "tiwlib.torchvision_cpu"
    }
    packages = {".".join(path.parent.parts) for path in files if path.name == "__init__"} - {"tiwlib"}
    assert sorted(shown) == sorted(public | packages)


def test_an_api_page_has_signatures_and_docstrings(book):
    page = book.pages["book/api/objectives.html"]
    entry = page.find(id="tiwlib.objectives.tiw_dsm")
    assert "reference_fraction: float" in " ".join(entry.get_text(" ").replace(" :", ":").split())
    assert "Theorem 1" in entry.find_next_sibling("dd").get_text()
    with pytest.raises(ValueError, match="tiwlib.no_such"):
        api.page("tiwlib.no_such")


# ------------------------------------------------------------------------------------------ around the book


def test_the_citation_names_the_paper_and_the_companion():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = citation["preferred-citation"]
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert paper["title"] in citation["title"] and paper["year"] == 2024 and len(paper["authors"]) == 7
    assert {"type": "other", "value": "arXiv:2403.01189"} in paper["identifiers"]


def test_the_workflows_call_the_commands_of_this_repository():
    def steps(name: str) -> list[dict]:
        workflow = yaml.safe_load(
            (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
        )
        (job,) = workflow["jobs"].values()
        return job["steps"]

    assert {"run": ".ci/run"} in steps("test") and os.access(ROOT / ".ci" / "run", os.X_OK)
    (build,) = [step for step in steps("book") if step.get("run") == "make book"]
    assert list(build["env"]) == ["BOOK_REPOSITORY"]
    (upload,) = [step for step in steps("book") if "upload-pages-artifact" in step.get("uses", "")]
    assert f" {upload['with']['path']}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
