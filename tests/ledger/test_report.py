"""The README's numbers are those of the records, and what it reads in them is there."""

import subprocess

import pytest

from ledger import report
from tiwlib import runs

NAMES = ("total_variation", "classifier_frechet")


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    """The README speaks of the committed records; where a run has replaced some, there is nothing to compare."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(runs.PROJECT / "results"))
    command = ["git", "-C", runs.PROJECT, "diff", "--quiet", "HEAD", "--", "results/*.json"]
    if subprocess.run(command).returncode:
        pytest.skip("results were made anew here, or this is no git checkout")


@pytest.mark.parametrize("page", report.PAGES, ids=lambda page: page.name)
def test_a_page_says_what_the_records_say(page):
    assert report.filled(page) == page.read_text(), "tables are stale: run `python -m ledger.report`"


def test_what_the_readme_reads_in_the_mnist_table_is_in_the_records():
    found = report.record("metrics", "05_figures", "mnist-lt-5")
    paired = found["differences"]
    assert all(paired["DSM(obs) minus TIW-DSM"][name]["low"] > 0 for name in NAMES)
    assert all(cell["low"] < 0 < cell["high"] for cell in (paired["IW-DSM minus TIW-DSM"][n] for n in NAMES))
    assert paired["DSM(ref) minus TIW-DSM"]["classifier_frechet"]["high"] < 0
    nearness = {label: cells["nearest_training_image"]["mean"] for label, cells in found["table"].items()}
    assert max(nearness, key=nearness.get) == "DSM(ref)"
    assert all(cells["seeds"] == 2 for cells in found["table"].values())


def test_what_the_readme_reads_in_the_digits_table_is_in_the_records():
    """Its sentences under the table, one by one: results that say otherwise must change the text."""
    table = report.record("metrics", "05_figures")["table"]
    shares, frechet = ({label: cells[name] for label, cells in table.items()} for name in NAMES)
    mean = {label: cell["mean"] for label, cell in shares.items()}
    assert max(mean, key=mean.get) == "DSM(obs)" and min(mean, key=mean.get) == "DSM(ref)"
    found = report.record("metrics", "05_figures")
    paired = found["differences"]["DSM(ref) minus TIW-DSM"]
    assert paired["total_variation"]["high"] < 0
    assert paired["classifier_frechet"]["low"] < 0 < paired["classifier_frechet"]["high"]
    sets = report.record("metrics", "04_train", "digits-lt-tiw_dsm-seed0")["context"]
    lowest = min(cell["mean"] for cell in frechet.values())
    assert sets["reference set"]["classifier_frechet"] < lowest
    rival = found["differences"]["IW-DSM minus TIW-DSM"]
    assert all(rival[name]["low"] < 0 < rival[name]["high"] for name in NAMES)
    assert max(rival[name]["high"] for name in ("recall", "nearest_training_image")) < 0
    for one, other in (("W-only", "DSM(obs), half"), ("C-only", "TIW-DSM")):
        for cells in (shares, frechet):  # the intervals overlap
            assert cells[one]["low"] < cells[other]["high"] and cells[other]["low"] < cells[one]["high"]
    assert abs(mean["W-only"] - mean["DSM(obs), half"]) < abs(mean["TIW-DSM"] - mean["DSM(obs), half"])
    assert mean["DSM(ref)"] < mean["TIW-DSM"] < mean["DSM(obs), half"]
    copies, drawn = table["DSM(ref)"], table["TIW-DSM"]
    assert copies["recall"]["high"] < 0.1 < drawn["recall"]["low"]
    assert copies["nearest_training_image"]["high"] < drawn["nearest_training_image"]["low"] / 2
    ratio = report.record("metrics", "03_ratio_accuracy", "digits-lt")["training_length"]
    weighted = [r["mean"] for r in ratio if "after weighting" in r["measure"]]
    assert min(weighted) > 0.1, "the ratio corrects unseen images in part only"
    trained = report.record("metrics", "01_density_ratio_2d", "seeds8")["trained"]["TIW-DSM"]
    assert trained["low"] < 0.5 < trained["high"], "in the plane the objective meets its closed form"
