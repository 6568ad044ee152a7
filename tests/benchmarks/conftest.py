"""The scripts of benchmarks/ and gpu/ are no packages: they import each other from the folder they lie in."""

import sys

from tiwlib.runs import PROJECT

sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks"), str(PROJECT / "gpu")]
