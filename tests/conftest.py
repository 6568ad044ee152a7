"""The package first: it makes torchvision importable beside a CPU build of torch."""

import pytest

import tiwlib.torchvision_cpu  # noqa: F401


@pytest.fixture(scope="module")
def own_checkpoints(tmp_path_factory):
    """What a test module trains and keeps goes into a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIWLIB_CHECKPOINTS", str(tmp_path_factory.mktemp("checkpoints")))
        yield
