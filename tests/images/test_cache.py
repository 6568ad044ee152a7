"""The cache: what is costly is made once, by one process, and written whole or not at all."""

import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tiwlib import runs
from tiwlib.data.splits import Split
from tiwlib.data.store import Recipe, stored
from tiwlib.networks import image_denoiser
from tiwlib.runs import cache
from tiwlib.runs.pretrained import save_pretrained

KEY = {"steps": 3, "images": "abc"}


class Fit:
    """A fit that counts how often it is called; every call has another outcome."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        network = {"weight": torch.randn(4, 3), "step": torch.tensor(self.calls)}
        return network, {"heldout_loss": 0.1 + self.calls}


def test_once_fits_once_and_gives_the_same_bits_again(tmp_path):
    fit = Fit()
    first, again = (cache.once("ratio", KEY, fit, tmp_path) for _ in range(2))
    assert fit.calls == 1 and (first.new, again.new) == (True, False)
    assert first.path == again.path and first.path.name.startswith("ratio-")
    assert first.tensors.keys() == again.tensors.keys() == {"weight", "step"}
    assert all(torch.equal(value, again.tensors[name]) for name, value in first.tensors.items())
    assert first.info == again.info == {"heldout_loss": 1.1}
    assert first.seconds == again.seconds > 0, "what the fit took, whoever asks"
    assert first.sha256 == again.sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == [first.path.name, f"{first.path.name}.lock"]


@pytest.mark.parametrize("changed", [{"steps": 4}, {"images": "abd"}, {"seed": 0}])
def test_another_key_is_another_fit(tmp_path, changed):
    fit = Fit()
    paths = {cache.once("ratio", key, fit, tmp_path).path for key in (KEY, KEY | changed)}
    assert fit.calls == len(paths) == 2


def test_another_kind_or_other_code_is_another_fit(tmp_path, monkeypatch):
    fit = Fit()
    cache.once("ratio", KEY, fit, tmp_path)
    cache.once("classifier", KEY, fit, tmp_path)
    monkeypatch.setattr(cache, "code", lambda: "changed")
    cache.once("ratio", KEY, fit, tmp_path)
    assert fit.calls == 3


def test_the_code_is_that_of_the_whole_library_but_for_the_plots(tmp_path, monkeypatch):
    """Whatever module a fit depends on, its change is another fit."""
    library = tmp_path / "tiwlib"
    for name in ("ratio.py", "estimators/frozen.py", "plots/style.py"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("one")
    monkeypatch.setattr(cache, "LIBRARY", library)

    def code():
        return cache.code.__wrapped__()  # without its memory of this process

    before = code()
    (library / "plots/style.py").write_text("two")
    assert code() == before
    (library / "estimators/frozen.py").write_text("two")
    assert code() != before


def fit_slowly(folder, log):
    def fit():
        with Path(log).open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        return {"weight": torch.randn(3)}, {}

    cached = cache.once("ratio", KEY, fit, folder)
    Path(log).with_name(f"{os.getpid()}.sha256").write_text(cached.sha256)


@pytest.fixture(scope="module")
def processes():
    """Processes that start with the library imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "tiwlib.training", "tiwlib.runs.cache"]
    )  # as in tests/runs: one server
    return context


def test_of_several_processes_one_fits_and_the_others_wait(tmp_path, processes):
    log = tmp_path / "fits.log"
    those = [processes.Process(target=fit_slowly, args=(tmp_path / "cache", log)) for _ in range(3)]
    for process in those:
        process.start()
    for process in those:
        process.join()
    assert [process.exitcode for process in those] == [0, 0, 0]
    assert len(log.read_text().split()) == 1
    hashes = {path.read_text() for path in tmp_path.glob("*.sha256")}
    assert len(list(tmp_path.glob("*.sha256"))) == 3 and len(hashes) == 1


def foreign(path):
    save_file({"weight": torch.zeros(1)}, path)


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.write_bytes(path.read_bytes()[:-5]), lambda path: path.write_bytes(b""), foreign],
    ids=["cut short", "empty", "no info"],
)
def test_a_broken_file_is_set_aside_named_and_made_again(tmp_path, damage):
    fit = Fit()
    path = cache.once("ratio", KEY, fit, tmp_path).path
    damage(path)
    left = path.read_bytes()
    aside = path.with_suffix(".broken")
    with pytest.warns(UserWarning, match=f"{path} cannot be read .*: set aside as {aside.name}"):
        again = cache.once("ratio", KEY, fit, tmp_path)
    assert fit.calls == 2 and again.new and again.info == {"heldout_loss": 2.1}
    assert aside.read_bytes() == left
    assert not cache.once("ratio", KEY, fit, tmp_path).new


def test_a_fit_that_fails_leaves_nothing_and_the_next_one_fits(tmp_path):
    def fails():
        raise FloatingPointError("the ratio's held-out loss is nan at step 3")

    with pytest.raises(FloatingPointError):
        cache.once("ratio", KEY, fails, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert cache.once("ratio", KEY, Fit(), tmp_path).new


def test_readers_see_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old")
    with cache.whole(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old" and partial.parent == tmp_path
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(KeyError), cache.whole(path) as partial:
        partial.write_text("half")
        raise KeyError("a mistake on the way")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole_and_by_no_file(tmp_path):
    folder = tmp_path / "folder"
    for content in ("old", "new"):
        with cache.whole(folder) as partial:
            partial.mkdir()
            (partial / content).write_text(content)
            assert [path.name for path in folder.glob("*")] == (["old"] if content == "new" else [])
    assert [path.name for path in folder.iterdir()] == ["new"] and list(tmp_path.iterdir()) == [folder]
    with pytest.raises(OSError, match="cannot be written"), cache.whole(folder) as partial:
        partial.write_text("a file in the folder's place")
    assert (folder / "new").exists() and list(tmp_path.iterdir()) == [folder]


def test_json_is_written_whole_and_nan_is_refused(tmp_path):
    path = tmp_path / "deep" / "file.json"
    cache.write_json(path, {"b": 1, "a": [0.5]})
    assert path.read_text() == '{\n  "a": [\n    0.5\n  ],\n  "b": 1\n}\n'
    with pytest.raises(ValueError):
        cache.write_json(path, {"x": float("nan")})
    assert [p.name for p in path.parent.iterdir()] == ["file.json"] and "0.5" in path.read_text()


def test_metrics_are_whole_or_not_there_also_when_they_alone_fail(tmp_path, monkeypatch):
    """The disk takes provenance.json and then half of metrics.json: the run has not finished."""
    monkeypatch.setenv("TIWLIB_RESULTS", str(tmp_path))
    original = Path.write_text

    def disk_full(self, text, *arguments, **options):
        if self.name.startswith("metrics.json"):
            original(self, text[: len(text) // 2])
            raise OSError(28, "No space left on device")
        return original(self, text, *arguments, **options)

    run = runs.start("05_train", "a", {"seed": 0})
    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(
        OSError, match=r"05_train/a/metrics.json: cannot be written \(.*No space left.*MB free\)"
    ):
        run.finish({"x": 1.0})
    assert (run.folder / "provenance.json").exists(), "the second write is the one that failed"
    assert not [p.name for p in run.folder.iterdir() if p.name.startswith("metrics")]
    assert runs.finished("05_train") == []


def fitted(folder):
    cache.once("ratio", KEY, lambda: ({"weight": torch.zeros(10_000)}, {}), folder)


def split(folder):
    Split("s", 0, {}, np.arange(5000), np.arange(5000, 5100)).write(folder / "split.json")


def array(folder):
    images = np.zeros((100, 3, 8, 8), np.uint8)
    stored(folder / "array", lambda: Recipe("array", 100, iter([images]), None, ()))


def denoiser(folder):
    save_pretrained(image_denoiser(1, 8, 8), folder / "denoiser")


def figure(folder):
    os.environ["TIWLIB_RESULTS"] = str(folder)
    run = runs.start("05_train", "figure", {})
    run.figure(plt.figure(), "empty")


def write_beyond(sender, folder, write, size):
    """A limit on the size of a file, which the kernel enforces, stands for the full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        write(folder)
    except OSError as error:
        sender.send(str(error))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (fitted, "ratio-"),
        (split, "split.json"),
        (array, "array"),
        (denoiser, "denoiser"),
        (figure, "05_train/figure/figures/empty"),
    ],
)
def test_a_full_disk_names_the_path(write, name, tmp_path, processes):
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=write_beyond, args=(sender, tmp_path, write, 600))
    process.start()
    process.join()
    message = receiver.recv() if receiver.poll() else ""
    assert f"{tmp_path}/{name}" in message and "cannot be written" in message and "MB free" in message
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name], "half of it is left"
    if write is fitted:
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
