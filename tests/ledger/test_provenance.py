"""What records say about the code and the data that made them."""

import re

import pytest

from ledger import provenance
from ledger.provenance import SINCE, provenances, unhashed


def test_every_record_since_hashes_are_kept_has_them():
    """Of the code in all of them; of images, split and networks where there are any."""
    new = {name: p["hashes"] for name, p in provenances().items() if p["finished"] >= SINCE}
    assert new, "the records made since then"
    for name, hashes in new.items():
        assert "code" in hashes, name
        if name.startswith("05_train/"):
            assert {"images", "split", "denoiser"} <= hashes.keys(), name
            assert ("ratio" in hashes) == any(m in name for m in ("iw_dsm", "w_only", "c_only")), name
        if name.startswith("07_baselines/"):
            assert "problem 0" in hashes, name


@pytest.mark.parametrize(
    ("hashes", "says"),
    [
        ({"code": "a"}, "Every record names the hash"),
        (
            {"images": "a"},
            r"1 of 1 records .*notebooks: 1 of 07\); they name the commit that made them\. A hash",
        ),
        ({}, r"07_baselines/0v1 name no hash of their images either"),
    ],
)
def test_the_page_says_which_records_are_older(hashes, says, monkeypatch):
    monkeypatch.setattr(provenance, "provenances", lambda: {"07_baselines/0v1": {"hashes": hashes}})
    assert re.search(says, unhashed())


def test_a_time_that_is_none_of_the_processor_is_marked():
    old, new = {"wall_seconds": 100.0}, {"wall_seconds": 100.0, "cpu_seconds": 40.0}
    assert [provenance.as_seconds(p) for p in (old, new)] == ["100 s *", "40 s"]
