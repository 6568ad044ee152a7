"""The cases of tests/hostile: each is given a tree and an empty folder, and fails where the tree does not handle it."""

import json
import os
import re
import signal
import struct
import subprocess
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from trees import TINY

CASES = []


@dataclass(frozen=True)
class Case:
    """One case: what happens, and what of it must not."""

    kind: str
    what: str
    ask: Callable
    kept: bool = False  # refused at the commit before, too


def case(kind: str, what: str, kept: bool = False):
    def add(ask):
        CASES.append(Case(kind, what, ask, kept))
        return ask

    return add


@contextmanager
def refused(*parts: str, kinds=(ValueError, FileNotFoundError, OSError)):
    """A clean error whose text has these parts; anything else is an AssertionError."""
    try:
        yield
    except kinds as error:
        missing = [part for part in parts if part not in str(error)]
        assert not missing, f"says {str(error)[:150]!r}, without {missing}"
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {str(error)[:150]}") from None
    else:
        raise AssertionError("is accepted")


def same(kind: str, ask: Callable, table: dict[str, tuple], kept: bool = False) -> None:
    """Cases that differ in values alone: what happens -> the arguments of ask, behind tree and folder."""
    for what, given in table.items():
        CASES.append(Case(kind, what, lambda tree, folder, given=given: ask(tree, folder, *given), kept))


# ---------------------------------------------------------------- files to ask with


def png(colour_type: int, channels: int, bits: int = 8, side: int = 8) -> bytes:
    """A PNG of noise, as no library needs to be able to write it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = np.random.default_rng(0).integers(0, 256, (side, side * channels * bits // 8), np.uint8)
    header = struct.pack(">IIBBBBB", side, side, bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def images(folder: Path, *names: str, side: int = 8) -> Path:
    """A folder of different RGB images."""
    from PIL import Image

    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(zlib.crc32(f"{folder}{name}".encode())).integers(
            0, 256, (side, side, 3)
        )
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return folder


def pair(folder: Path, reference: int = 12, side: int = 8) -> dict:
    """Parameters of two folders without groups."""
    many = images(folder / "many", *(f"{i}.png" for i in range(24)), side=side)
    few = images(folder / "few", *(f"{i}.png" for i in range(reference)), side=side)
    return {"biased": str(many), "reference": str(few), "size": side}


def setting(folder: Path, **arguments) -> Path:
    path = folder / "mine.json"
    content = {"source": "digits", "bias": "long_tail", "reference_share": 0.1}
    path.write_text(json.dumps(content | {"arguments": {"imbalance": 1.0, "total": 300} | arguments}))
    return path


def sweep(tree, folder: Path, text: str):
    (folder / "mine.yaml").write_text(text)
    return tree.plan.load(folder / "mine.yaml")


def warned(call: Callable) -> str:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call()
    return " ".join(str(w.message) for w in said)


# ---------------------------------------------------------------- a stop


def stopped(tree, folder, number):
    """A step takes 0.3 seconds, reports are 25 steps apart, and so few seconds are left before the kill."""
    steps = []

    def step():
        steps.append(time.monotonic())
        time.sleep(0.3)
        if len(steps) == 3:
            os.kill(os.getpid(), number)

    began = None
    try:
        for _ in tree.two_d_training(folder / "states", step):
            pass
    except (RuntimeError, KeyboardInterrupt):
        began = time.monotonic() - steps[2]
    assert list((folder / "states").glob("step-*")), "no state"
    assert began < 2, f"the state comes after {began:.1f} s"


same(
    "a stop at ordinary step times",
    stopped,
    {"SIGTERM": (signal.SIGTERM,), "Ctrl-C": (signal.SIGINT,)},
)


# ---------------------------------------------------------------- what a path holds


def replaced(tree, folder, make):
    name, value, change = make(folder)
    params = tree.params(**{name: value})
    tree.runs.start(tree.train, "mine", params).finish({})
    change()
    with refused("run='mine'"):
        tree.runs.start(tree.train, "mine", tree.params(**{name: value}))


def edited_setting(folder):
    path = setting(folder)
    return "setting", str(path), lambda: setting(folder, imbalance=0.05)


def edited_folder(folder):
    path = images(folder / "mine", "a.png", "b.png")
    return "biased", str(path), lambda: images(path, "c.png")


def edited_features(folder):
    path = folder / "features.pth"
    path.write_bytes(b"one")
    return "ratio_features", str(path), lambda: path.write_bytes(b"another")


same(
    "what a path holds",
    replaced,
    {
        "a setting that is edited in place replaces a finished run": (edited_setting,),
        "a folder that is edited in place replaces a finished run": (edited_folder,),
        "a file of features that is edited in place replaces a finished run": (edited_features,),
    },
)


@case("what a path holds", "a sweep takes a run of an edited setting for done")
def _(tree, folder):
    path = setting(folder)
    text = f"runs: [{{notebook: {tree.train}, run: mine, params: {{setting: {path}}}}}]"
    (planned,) = sweep(tree, folder, text).runs
    tree.runs.start(tree.train, "mine", planned.params).finish({})
    assert planned.done()
    setting(folder, imbalance=0.05)
    assert not planned.done(), "counts as done"


@case("what a path holds", "another --source gives the images of the first")
def _(tree, folder):
    found = []
    for name in ("a", "b"):
        place = folder / name / "ffhq"
        images(place / "images", "1.png", "2.png", "3.png", "4.png", side=64)
        (place / "groups.csv").write_text("file,group\n1.png,female\n2.png,male\n3.png,female\n4.png,male\n")
        found.append(tree.source("ffhq", folder / name).sha256)
    assert found[0] != found[1], "the first one's images"


@case("what a path holds", "runs of two splits of one seed stand side by side")
def _(tree, folder):
    params = tree.params()
    records = [
        {
            "run": str(i),
            "params": params,
            "metrics": {},
            "provenance": {"hashes": {"images": "a", "split": str(i)}},
        }
        for i in range(2)
    ]
    with refused("split"):
        tree.comparable(records)


@case("what a path holds", "other weights in a file of features give the ratio of the old ones")
def _(tree, folder):
    import torch
    import torchvision

    given = {**pair(folder), "method": "tiw_dsm", "ratio_features": str(folder / "features.pth")}
    for seed in range(2):
        torch.manual_seed(seed)
        torch.save(torchvision.models.resnet18(weights=None).state_dict(), folder / "features.pth")
        tree.ratio(tree.prepared(**given))
    assert len(list(tree.runs.checkpoints().glob("ratio-*.safetensors"))) == 2, "one ratio for both"


# ---------------------------------------------------------------- groups


def spelt(tree, folder, biased, reference):
    many = images(folder / "many", *(f"{group}/{i}.png" for group in biased for i in range(6)))
    few = images(folder / "few", *(f"{group}/{i}.png" for group in reference for i in range(6)))
    with refused("Female"):
        tree.bias.own_pair(many, few, "data", 8, biased_groups="folders", reference_groups="folders")


same(
    "groups",
    spelt,
    {
        "Female in one set and female in the other are two groups": (("Female", "Male"), ("female", "male")),
        "'Female ' beside 'Female'": (("Female", "Male", "Female "), ("Female", "Male")),
    },
)


@case("groups", "a name with $ crashes the figures after the training")
def _(tree, folder):
    names = (r"$\frac{$", "US$ 5 to US$ 10")
    tree.plots.group_shares({"biased set": np.array([0.5, 0.5])}, names).savefig(folder / "shares.png")


# ---------------------------------------------------------------- pixels


def sixteen(tree, folder, colour_type, channels):
    with refused("x.png"):
        tree.decode.decode(png(colour_type, channels, 16), "x.png", None, 3)


same(
    "pixels",
    sixteen,
    {
        f"16-bit {name} is cut to 8": given
        for name, given in {"RGB": (2, 3), "RGBA": (6, 4), "LA": (4, 2)}.items()
    },
)
same("pixels", sixteen, {"16-bit grey": (0, 1)}, kept=True)


def left_out(tree, folder, what):
    images(folder / "mine", "a.png", "b.png")
    if what == "links":
        images(folder / "other", "c.png")
        (folder / "mine" / "more").symlink_to(folder / "other")
    else:
        (folder / "mine" / f"x.{what}").write_bytes(b"something")
    assert re.search(r"\b1\b", warned(lambda: tree.archive.open_images(folder / "mine"))), "not a word"


same(
    "pixels",
    left_out,
    {f"{what} left out without a count": (what,) for what in ("links", "gif", "tiff")},
)


# ---------------------------------------------------------------- parameters that are not used


def parameter(tree, folder, given, *says):
    names = says or tuple(f"{name}=" for name in list(given)[-1:])
    with refused(*names):
        tree.prepared(**given)


same(
    "parameters that are not used",
    parameter,
    {
        "ema_half_life 0": ({"ema_half_life": 0},),
        "reference_fraction with dsm_ref": ({"method": "dsm_ref", "reference_fraction": 0.0},),
        "ratio_lr 0": ({"ratio_lr": 0.0},),
        "ratio_dropout 1": ({"ratio_dropout": 1.0},),
        "alpha -1": ({"alpha": -1.0},),
    },
)


@case("parameters that are not used", "a key that a sweep's file names twice")
def _(tree, folder):
    with refused("seed"):
        sweep(tree, folder, f"runs:\n  - notebook: {tree.train}\n    params:\n      seed: 1\n      seed: 2\n")


@case("parameters that are not used", "a key that a setting names twice")
def _(tree, folder):
    path = setting(folder)
    path.write_text(path.read_text()[:-1] + ', "reference_share": 0.2}')
    with refused("reference_share"):
        tree.setting(path)


@case("parameters that are not used", "a key that the file of torchrun's processes names twice")
def _(tree, folder):
    (folder / "parameters.yaml").write_text(
        json.dumps(TINY)[1:-1].replace(", ", "\n").replace('"', "") + "\nsteps: 3\n"
    )
    with refused("parameters.yaml", "steps"):
        tree.two_processes(folder / "parameters.yaml")


@case("parameters that are not used", "size of a source that has its own")
def _(tree, folder):
    path = setting(folder)
    path.write_text(path.read_text()[:-1] + ', "size": 16}')
    with refused("size"):
        tree.setting(path)


@case("parameters that are not used", "a method named twice is an interval of width zero")
def _(tree, folder):
    with refused("dsm_bias", "once"):
        tree.first_cells(tree.baselines, seeds=1, methods=["dsm_bias", "dsm_bias"])


@case("parameters that are not used", "a training length named twice counts each fit twice")
def _(tree, folder):
    with refused("lengths"):
        tree.first_cells(tree.ratio_notebook, lengths=[5, 5])


@case("parameters that are not used", "inception_weights beside the classifier's features")
def _(tree, folder):
    with refused("inception_weights"):
        tree.first_cells(
            tree.train,
            inception_weights="nowhere.pth",
            feature_extractor="classifier",
            root="data",
            device="cpu",
        )


# ---------------------------------------------------------------- checks that came after the work

same(
    "checks after the work",
    parameter,
    {
        "fewer samples than the figures show": ({"n_samples": 12},),
        "seed 2^32": ({"seed": 2**32},),
        "sampling_steps 1": ({"sampling_steps": 1},),
        "dropout 1.5": ({"dropout": 1.5},),
        "a width of 12": ({"width": 12},),
        "alpha NaN": ({"alpha": float("nan")},),
        "lr infinite": ({"lr": float("inf")},),
    },
)


def sides(tree, folder, side):
    with refused("size"):
        tree.prepared(**pair(folder, side=side))


same("checks after the work", sides, {f"images of {n} pixels a side": (n,) for n in (1, 2, 15)})


@case("checks after the work", "a sweep plans a NaN")
def _(tree, folder):
    with refused("lr"):
        sweep(tree, folder, f"runs: [{{notebook: {tree.train}, run: mine, params: {{lr: .nan}}}}]")


def empty_list(tree, folder, notebook, name, value):
    with refused(name):
        tree.first_cells(getattr(tree, notebook), **{name: value})


same(
    "checks after the work",
    empty_list,
    {
        "lengths: []": ("ratio_notebook", "lengths", []),
        "lengths: [5.5]": ("ratio_notebook", "lengths", [5.5]),
        "alphas: []": ("objectives", "alphas", []),
    },
)


@case("checks after the work", "what a failed run has left is in the record of the next")
def _(tree, folder):
    started = tree.runs.start(tree.train, "mine", {"seed": 0})
    (started.folder / "ratio_error.csv").write_text("stale")
    started._lock.release(force=True)  # as when its process has ended
    assert not (tree.runs.start(tree.train, "mine", {"seed": 1}).folder / "ratio_error.csv").exists(), (
        "still there"
    )


# ---------------------------------------------------------------- one broken file


@case("one broken file", "a cached ratio that is cut short")
def _(tree, folder):
    experiment = tree.prepared(method="tiw_dsm")
    tree.ratio(experiment)
    (path,) = tree.runs.checkpoints().glob("ratio-*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    said = warned(lambda: tree.ratio(tree.prepared(method="tiw_dsm")))
    assert path.stem in said and path.stat().st_size > 100


@case("one broken file", "a classifier that is cut short")
def _(tree, folder):
    network = tree.classifier.Classifier(1, 10)
    tree.classifier.fit = lambda *_, **__: (network, 0.5)
    tree.fitted_classifier(folder)
    (path,) = folder.glob("classifier-*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    assert path.stem in warned(lambda: tree.fitted_classifier(folder))


def broken_record(tree, folder, content):
    tree.runs.start(tree.train, "good", {}).finish({})
    tree.runs.start(tree.train, "bad", {}).finish({})
    path = tree.runs.results_root() / tree.train / "bad" / "metrics.json"
    path.write_text(content)
    names = []
    said = warned(lambda: names.extend(r["run"] for r in tree.runs.finished(tree.train)))
    assert names == ["good"] and str(path) in said


same(
    "one broken file",
    broken_record,
    {f"a record that holds {content!r}": (content,) for content in ("", "[1]", '{"x": NaN}')},
)


# ---------------------------------------------------------------- errors that name

same(
    "errors that name",
    parameter,
    {
        "width 1": ({"width": 1},),
        "width 0": ({"width": 0},),
        "ratio_steps 0": ({"method": "tiw_dsm", "ratio_steps": 0}, "ratio_steps=0"),
    },
)


def few_references(tree, folder, n):
    with refused("reference"):
        tree.ratio(tree.prepared(method="tiw_dsm", **pair(folder, reference=n)))


same("errors that name", few_references, {f"a reference set of {n}": (n,) for n in (1, 2)})


def bad_sweep(tree, folder, text, *says):
    with refused("mine.yaml", *says):
        sweep(tree, folder, text.replace("NOTEBOOK", tree.train))


same(
    "errors that name",
    bad_sweep,
    {
        "a sweep with runs: 5": ("runs: 5", "runs=5"),
        "a sweep with params: [1]": ("runs: [{notebook: NOTEBOOK, params: [1]}]", "params=[1]"),
        "a sweep with vary: seed": ("runs: [{notebook: NOTEBOOK, vary: seed}]", "vary='seed'"),
        "a sweep with file: 5": ("runs: [{notebook: NOTEBOOK, file: 5}]", "file=5"),
        "a sweep's run of 300 letters": (f"runs: [{{notebook: NOTEBOOK, run: {300 * 'a'}}}]", "run="),
        "a sweep that is nested too deeply": (20_000 * "[", ""),
    },
)


@case("errors that name", "a setting that is nested too deeply")
def _(tree, folder):
    (folder / "mine.json").write_text(200_000 * "[")
    with refused("mine.json"):
        tree.setting(folder / "mine.json")


def in_a_zip(tree, folder, name, content, compression=zipfile.ZIP_STORED, damage=False):
    path = folder / "mine.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)
        archive.writestr("second.png", png(2, 3))
    if damage:
        raw = bytearray(path.read_bytes())
        start = raw.index(name.encode()) + len(name)
        raw[start + 12 : start + 60] = bytes(48)
        path.write_bytes(raw)
    files = tree.archive.open_images(path)
    with refused("mine.zip", name):
        list(tree.decode.decode_all([(files, each) for each in files.names], 8, 3))


same(
    "errors that name",
    in_a_zip,
    {
        "an image in a zip that is text": ("x.png", b"no image"),
        "an image in a zip that is cut short": ("x.png", png(2, 3)[:60]),
        "a damaged LZMA member": ("x.png", png(2, 3, side=32), zipfile.ZIP_LZMA, True),
        "a damaged bzip2 member": ("x.png", png(2, 3, side=32), zipfile.ZIP_BZIP2, True),
    },
)


def full_disk(tree, folder, write, name):
    import resource

    go = write(tree, folder)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    with refused(name):
        go()


def ratio_to_keep(tree, folder):
    experiment = tree.prepared(method="tiw_dsm")
    return lambda: tree.ratio(experiment)


def split_to_write(tree, folder):
    split = tree.setting(setting(folder)).split
    return lambda: split.write(folder / "split.json")


def array_to_store(tree, folder):
    own = pair(folder)
    return lambda: tree.bias.own_pair(own["biased"], own["reference"], folder, own["size"])


same(
    "errors that name",
    full_disk,
    {
        f"a disk that is full while {what}": given
        for what, given in {
            "a ratio is kept": (ratio_to_keep, "ratio-"),
            "a split is written": (split_to_write, "split.json"),
            "an array is stored": (array_to_store, "own-"),
        }.items()
    },
)


@case("errors that name", "a file of features that holds a list")
def _(tree, folder):
    import torch

    torch.save([1, 2], folder / "features.pth")
    with refused("ratio_features", kinds=(ValueError,)):
        tree.frozen_ratio(folder / "features.pth")


# ---------------------------------------------------------------- strangers' files


def elsewhere(tree, folder, name):
    params = tree.params(**TINY) | {"run": name, "root": str(folder / "data")}
    (folder / "parameters.json").write_text(json.dumps(params))
    with refused("run="):
        tree.two_processes(folder / "parameters.json")


same(
    "strangers' files",
    elsewhere,
    {f"torchrun with run: {name}": (name,) for name in ("../../evil", "/nowhere/evil")},
)


@case("strangers' files", "a sweep's notebook outside of its folder")
def _(tree, folder):
    with refused("notebook="):
        sweep(tree, folder, f"runs: [{{notebook: ../notebooks/{tree.train}, run: mine}}]")


@case("strangers' files", "an unquoted wildcard in the shell line of the Snakefile")
def _(tree, folder):
    shell = (tree.folder / "workflow" / "Snakefile").read_text().partition("shell:")[2]
    names = re.findall(r"(?<!\{)\{([\w.]+)(:q)?\}(?!\})", shell)
    assert names and all(quoted or name.endswith("runs_per_gpu") for name, quoted in names), names


@case("strangers' files", "x.png is a link to /dev/zero")
def _(tree, folder):
    images(folder / "mine", "a.png")
    (folder / "mine" / "x.png").symlink_to("/dev/zero")
    with refused("x.png"):
        files = tree.archive.open_images(folder / "mine")
        files.read("x.png")


@case("strangers' files", "x.png is a pipe")
def _(tree, folder):
    images(folder / "mine", "a.png")
    os.mkfifo(folder / "mine" / "x.png")
    with refused("x.png"):
        files = tree.archive.open_images(folder / "mine")
        files.read("x.png")


@case("strangers' files", "HTML in a record goes into a page")
def _(tree, folder):
    committed = tree.folder / "results" / tree.baselines
    for path in committed.glob("*/metrics.json"):
        metrics = json.loads(path.read_text())
        for measures in metrics["methods"].values():
            measures["requires"] = "<img src=x onerror=alert(1)> | a cell\n\nand a line"
        to = tree.runs.results_root() / tree.baselines / path.parent.name
        to.mkdir(parents=True)
        (to / "metrics.json").write_text(json.dumps(metrics))
    assert "<img" not in tree.table_of_baselines()


def tampered(tree, folder, name, value):
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path, load = tree.saved_state(folder / "states")
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    tensors = load_file(path)
    name = next(key for key in tensors if key.startswith(name))
    tensors[name] = torch.full_like(tensors[name], float("nan")) if value == "nan" else torch.ones(1)
    save_file(tensors, path, about)
    with refused(str(folder)):
        load()


same(
    "strangers' files",
    tampered,
    {
        "a state with NaN weights": ("network.", "nan"),
        "a state with a shape that is broadcast": ("ema.0", "shape"),
        "a state with NaN moments": ("optimiser.0.exp_avg", "nan"),
        "a state with a moment whose shape is broadcast": ("optimiser.0.exp_avg", "shape"),
    },
)


@case("strangers' files", "the advice to load without weights_only reaches the reader")
def _(tree, folder):
    import pickle

    import torch

    (folder / "features.pth").write_bytes(pickle.dumps({"a": Path("x")}))
    torch.save({"a": Path("x")}, folder / "zipped.pth")
    for name in ("features.pth", "zipped.pth"):
        try:
            tree.frozen_ratio(folder / name)
        except ValueError as error:
            assert "weights_only" not in str(error), f"it does: {str(error)[:80]}"


@case("strangers' files", "somebody else has made the folder of the GPUs' locks")
def _(tree, folder):
    os.environ["TMPDIR"] = str(folder)
    code = (
        "import os, sys, tempfile; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import gpus; "
    )
    code += "p = Path(tempfile.gettempdir()) / f'tiwlib-gpus-{os.getuid()}-all'; p.mkdir(); p.chmod(0o777); "
    code += "gpus.folder()"
    place = Path(tree.gpus.__file__).parent
    done = subprocess.run(["python", "-I", "-c", code, place], capture_output=True, text=True)
    assert "ValueError" in done.stderr, "it is used"


# ---------------------------------------------------------------- refused before, and now


def member(tree, folder, name):
    with zipfile.ZipFile(folder / "mine.zip", "w") as archive:
        archive.writestr(name, png(2, 3))
    with refused("mine.zip"):
        tree.archive.open_images(folder / "mine.zip")


same(
    "refused before",
    member,
    {f"a zip's member {name}": (name,) for name in ("../x.png", "/x.png", "a\\..\\..\\x.png", "C:x.png")},
    kept=True,
)


@case("refused before", "a bomb in a zip", kept=True)
def _(tree, folder):
    with zipfile.ZipFile(folder / "mine.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", bytes(2**20))
    tree.archive.MIN_BOMB_BYTES = 1000  # as if the bomb were larger: one of a gigabyte takes a while to pack
    with refused("bomb"):
        tree.archive.open_images(folder / "mine.zip")


def run_name(tree, folder, name):
    with refused("run="):
        tree.runs.start(tree.train, name, {})


names = ("", "a/b", "../a", ".hidden", "a b", "$(id)", "a\nb")
same("refused before", run_name, {f"a run called {name!r}": (name,) for name in names}, kept=True)
same(
    "refused before",
    parameter,
    {
        "lr 0": ({"lr": 0.0},),
        "steps 0": ({"steps": 0},),
        "an unknown method": ({"method": "gan"}, "method"),
        "n_samples 0": ({"n_samples": 0},),
        "an unknown network": ({"network": "huge"},),
    },
    kept=True,
)
