"""What is costly is made once: hashes that name a thing, whole files or none, one maker at a time.

A fitted network lies in checkpoints()/<kind>-<digest>.safetensors. The digest covers all that it depends on, the code
of this library too: after a change of the code it is fitted again.
"""

import functools
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

PROJECT = Path(__file__).resolve().parents[2]
LIBRARY = PROJECT / "tiwlib"


def checkpoints() -> Path:
    """Where what can be made again is kept: states of training, ratios, classifiers. Or $TIWLIB_CHECKPOINTS."""
    return Path(os.environ.get("TIWLIB_CHECKPOINTS") or PROJECT / "checkpoints").expanduser()


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content) -> str:
    """Hex digest of a JSON-serialisable value, the same for equal values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@functools.cache
def code() -> str:
    """Hash of the library's code but for the plots, as this process found it."""
    files = sorted(path for path in LIBRARY.rglob("*.py") if path.parent.name != "plots")
    return digest({str(path.relative_to(LIBRARY)): sha256(path) for path in files})


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Whatever cannot be written in this block is an OSError that names `path`, and the room that its disk has left."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        free = shutil.disk_usage(next(p for p in path.absolute().parents if p.exists())).free / 2**20
        raise OSError(f"{path}: cannot be written ({error}; {free:,.0f} MB free)") from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` for a file or folder; when the block ends well that is on the disk, and named `path`.

    Readers see what was there before or what is new, never a part; a folder that replaces another is missing for a
    moment.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            for written in filter(Path.is_file, (partial, *partial.rglob("*"))):
                with written.open("rb") as file:
                    os.fsync(file.fileno())
            # a folder that holds something cannot be replaced in one step
            if partial.is_dir() and path.is_dir():
                shutil.rmtree(path)
            partial.replace(path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)


def write_json(path: Path, content) -> None:
    """Write a JSON file, whole or not at all. NaN is a ValueError."""
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    with whole(path) as partial:
        partial.write_text(text)


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict) -> None:
    """Write a safetensors file, whole or not at all. about: what it says of itself, JSON-serialisable by name."""
    # clones: a saved tensor must not share memory with another
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    with whole(path) as partial:
        save_file(tensors, partial, {name: json.dumps(value) for name, value in about.items()})


def read_tensors(path: Path, names: set[str]) -> tuple[dict[str, Tensor], dict]:
    """The tensors of a file of `write_tensors`, and what it says of itself under just these names.

    Any other file, and one that is damaged, is a ValueError.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RecursionError) as error:
        raise ValueError(error) from error
    if about.keys() != names:
        raise ValueError(f"it must say {', '.join(sorted(names))} of itself")
    return tensors, about


@dataclass(frozen=True, kw_only=True)
class Cached:
    """A fitted thing from the cache. seconds: what its fit took. new: whether this call has fitted it."""

    path: Path
    tensors: dict[str, Tensor]
    info: dict
    seconds: float
    new: bool

    @property
    def sha256(self) -> str:
        """Hex digest of the tensors: the same for the same network, whenever it was fitted."""
        content = hashlib.sha256()
        for name, tensor in sorted(self.tensors.items()):
            content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            content.update(tensor.contiguous().numpy().tobytes())
        return content.hexdigest()


def once(
    kind: str, key: dict, fit: Callable[[], tuple[dict[str, Tensor], dict]], folder: Path | None = None
) -> Cached:
    """The tensors and the JSON-serialisable info of `fit()`, which is called only if nobody has done so before.

    key: all that the fit depends on but the library's code; JSON-serialisable. Of several processes that ask at once,
    one fits and the others wait. A file that cannot be read is set aside as *.broken, with a warning that names it,
    and fitted again.
    """
    path = (folder or checkpoints()) / f"{kind}-{digest(key | {'code': code()})[:16]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.exists():
            try:
                tensors, about = read_tensors(path, {"info", "seconds"})
                return Cached(path=path, tensors=tensors, **about, new=False)
            except ValueError as error:
                aside = path.replace(path.with_suffix(".broken"))
                said = f"{path} cannot be read ({error}): set aside as {aside.name}, made again"
                warnings.warn(said, stacklevel=2)
        began = time.perf_counter()
        tensors, info = fit()
        about = {"info": info, "seconds": time.perf_counter() - began}
        write_tensors(path, tensors, about)
        tensors, about = read_tensors(path, about.keys())  # as whoever asks next
    return Cached(path=path, tensors=tensors, **about, new=True)
