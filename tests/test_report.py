"""The README's numbers are those of the records."""

from tiwlib import report, runs


def test_the_readme_says_what_the_records_say(monkeypatch):
    monkeypatch.setenv("TIWLIB_RESULTS", str(runs.PROJECT / "results"))
    readme = report.README.read_text()
    assert report.filled(readme) == readme, "the README's tables are stale: run `make notebooks`"
