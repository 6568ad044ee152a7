"""The package first: it makes torchvision importable beside a CPU build of torch."""

import tiwlib  # noqa: F401
