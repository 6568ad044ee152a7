"""The README: its snippet runs and debiases, its links lead somewhere, its table names what is in the code."""

import re
import subprocess
import sys

import pytest

from tiwlib import runs

TEXT = (runs.PROJECT / "README.md").read_text()
LINKS = sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT)))


def test_the_snippet_debiases_the_2d_example():
    """One seed. The share is 0.20 in the biased set, 0.35 in the batches and 0.50 in truth."""
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=runs.PROJECT, capture_output=True, text=True, timeout=300
    )
    share = re.search(r"share of the rare mode: (\d\.\d+)", done.stdout)
    assert share, done.stderr
    assert 0.42 < float(share[1]) < 0.6


@pytest.mark.parametrize("link", [link for link in LINKS if "://" not in link])
def test_a_link_leads_somewhere(link):
    assert (runs.PROJECT / link).exists()


def test_the_table_names_what_is_there():
    rows = re.findall(r"\[`([\w.`, ]+)`\]\((tiwlib/[\w/]+\.py)\)", TEXT)
    assert len(rows) >= 8
    for names, path in rows:
        code = (runs.PROJECT / path).read_text()
        for name in re.findall(r"\w+", names.replace("`", "")):
            if name not in ("ratio", "py", "data", "settings", "runs", "experiment", "gaussians"):
                assert re.search(rf"(def|class) {name}\b|^{name} = ", code, flags=re.MULTILINE), (name, path)
