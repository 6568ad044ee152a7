"""The benchmark of the store at a small size: memory does not grow with the array."""

import json
import mmap
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tiwlib import runs
from tiwlib.data.store import Recipe, stored

BENCHMARK = runs.PROJECT / "benchmarks" / "data_loading.py"
NUMBER = 16_000  # of 3 x 64 x 64: 197 MB, more than feeding may take


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="pages cannot be given back on this system")
def test_feeding_stays_below_its_limit_whatever_the_size_of_the_array(tmp_path):
    limit = runpy.run_path(str(BENCHMARK))["BARS"]["feeding_mb"]
    pieces = (np.full((1000, 3, 64, 64), i, np.uint8) for i in range(NUMBER // 1000))
    data = stored(tmp_path / "arrays" / "feed", lambda: Recipe("feed", NUMBER, pieces, None, ()))
    assert data.images.nbytes > 1.2 * limit * 2**20, "an array that stayed in memory would be seen"
    command = [sys.executable, str(BENCHMARK), "--feed", str(tmp_path)]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert measured["images"] == NUMBER and measured["feeding_mb"] < limit


def test_what_was_measured_in_several_processes_leaves_a_fifth_of_the_limit_free():
    paths = (runs.PROJECT / "benchmarks" / "results").glob("*-data.json")
    several = [record for record in map(json.loads, map(Path.read_text, paths)) if "each_mb" in record]
    assert several
    for record in several:
        assert len(record["each_mb"]) >= 6 and record["feeding_mb"] == max(record["each_mb"])
        assert record["feeding_mb"] <= 0.8 * record["bars"]["feeding_mb"]
