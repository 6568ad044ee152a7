"""The memory-mapped store: whole or not there."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tiwlib.data.store import Recipe, checksum, in_memory, stored

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 4), np.uint8)
GROUPS = np.repeat(np.arange(5), 10)
NAMES = tuple("abcde")


def recipe(images=IMAGES, number=50):
    return Recipe(
        "five", number, (images[start : start + 8] for start in range(0, len(images), 8)), GROUPS, NAMES
    )


def test_a_store_is_built_once_and_read_only(tmp_path):
    built = stored(tmp_path / "five", recipe)
    again = stored(tmp_path / "five", lambda: pytest.fail("built twice"))
    for data in (built, again):
        assert isinstance(data.images, np.memmap) and data.images.dtype == np.uint8
        np.testing.assert_array_equal(data.images, IMAGES)
        np.testing.assert_array_equal(data.groups, GROUPS)
        assert (data.name, data.group_names, data.sha256) == ("five", NAMES, checksum(IMAGES, GROUPS))
    with pytest.raises(ValueError, match="read-only"):
        built.images[0] = 0


def test_in_memory_is_the_same(tmp_path):
    assert in_memory(recipe()).sha256 == stored(tmp_path / "five", recipe).sha256


def test_without_groups(tmp_path):
    data = stored(tmp_path / "own", lambda: Recipe("own", 50, iter([IMAGES]), None, ()))
    assert data.groups is None and data.group_names == () and data.group_sizes().shape == (0,)


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield IMAGES[:10]
        raise ValueError("x.png cannot be read as an image")

    with pytest.raises(ValueError, match="x.png"):
        stored(tmp_path / "five", lambda: Recipe("five", 50, broken(), GROUPS, NAMES))
    assert not list(tmp_path.glob("five*/"))
    with pytest.raises(ValueError, match="40 images came, 50 were announced"):
        stored(tmp_path / "five", lambda: recipe(IMAGES[:40]))
    np.testing.assert_array_equal(stored(tmp_path / "five", recipe).images, IMAGES)


KILLED = """
import sys, time
import numpy as np
from pathlib import Path
from tiwlib.data.store import Recipe, stored

def pieces():
    yield np.zeros((10, 3, 4, 4), np.uint8)
    print("half", flush=True)
    time.sleep(60)

stored(Path(sys.argv[1]), lambda: Recipe("five", 50, pieces(), None, ()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_build_leaves_nothing_in_use(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "five")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout.readline() == b"half\n"
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    (left,) = tmp_path.glob("five.*.partial")
    assert (left / "images.npy").exists()  # what it had begun
    assert not (tmp_path / "five").exists()
    began = time.monotonic()
    np.testing.assert_array_equal(stored(tmp_path / "five", recipe).images, IMAGES)
    assert time.monotonic() - began < 10  # did not wait for the dead process's lock
    assert not left.exists()


def test_two_builders_at_once_build_once(tmp_path):
    calls, results = [], []

    def slow():
        calls.append(1)
        time.sleep(0.2)
        return recipe()

    threads = [
        threading.Thread(target=lambda: results.append(stored(tmp_path / "five", slow))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and len(results) == 3


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: cut(folder / "images.npy"),
        lambda folder: cut(folder / "groups.npy"),
        lambda folder: (folder / "meta.json").unlink(),
        lambda folder: (folder / "meta.json").write_text("{"),
        lambda folder: np.save(folder / "images.npy", np.zeros(3)),
        lambda folder: np.save(folder / "groups.npy", np.zeros(3, np.int64)),
    ],
)
def test_a_damaged_store_is_not_used(tmp_path, harm):
    stored(tmp_path / "five", recipe)
    harm(tmp_path / "five")
    with pytest.raises(ValueError, match="five is damaged .*; delete it, and it is built again"):
        stored(tmp_path / "five", recipe)


def test_checksum_sees_every_byte():
    changed = IMAGES.copy()
    changed[-1, -1, -1, -1] ^= 1
    assert len({checksum(IMAGES, GROUPS), checksum(changed, GROUPS), checksum(IMAGES, None)}) == 3
