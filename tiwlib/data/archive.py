"""A folder or a zip of images as a list of names and a way to read each, trusting neither.

A zip is read in place: nothing is unpacked, so nothing can be written outside a folder. Paths that climb out
are refused all the same, for whoever made them meant no good.
"""

import hashlib
import json
import lzma
import os
import stat
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
HIDDEN, LINK = "hidden", "links to folders"
MAX_FILE_BYTES = 64 * 2**20  # one image; FFHQ's largest has 2 MB
MAX_EXPANSION = 100  # declared size of a zip's contents over its own size; images hardly shrink in a zip
MIN_BOMB_BYTES = 2**30  # below this, contents are no danger, whatever their ratio


@dataclass(frozen=True)
class ImageFiles:
    """Image files by name.

    label  name of the folder or zip, without the path to it
    stamps for each file, by relative POSIX path in ascending order: its bytes, and CRC or time of change
    read   from a name to the file's bytes; raises ValueError where they are damaged
    """

    label: str
    stamps: dict[str, tuple[int, int]]
    read: Callable[[str], bytes]

    @property
    def names(self) -> list[str]:
        return list(self.stamps)

    def fingerprint(self) -> str:
        """Hash of all names and stamps: changes whenever a file does."""
        return hashlib.sha256(json.dumps(list(self.stamps.items())).encode()).hexdigest()


def open_images(path: str | Path, parameter: str = "source") -> ImageFiles:
    """The images of a folder, a zip, or a folder inside a zip (`images.zip/train`).

    Hidden files are passed over; files of another suffix and links to folders are left out, and a warning counts
    them. Raises FileNotFoundError where nothing is there, ValueError where there is no image, or a file that is none,
    or where a zip is damaged or dangerous.
    """
    path = Path(path)
    archive = next((above for above in (path, *path.parents) if above.is_file()), None)
    if path.is_dir():
        label, (names, stamp, read) = path.resolve().name, _folder(path)
    elif archive:
        label, (names, stamp, read) = archive.name, _zip(archive, path.relative_to(archive).as_posix())
    else:
        raise FileNotFoundError(f"{parameter}: {path} is not there; allowed is a folder or zip of images")
    kinds = {name: _kind(name) for name in sorted(names)}
    files = ImageFiles(label, {name: stamp(name) for name, kind in kinds.items() if kind in SUFFIXES}, read)
    if left_out := Counter(kind for kind in kinds.values() if kind not in (*SUFFIXES, HIDDEN)):
        counts = ", ".join(f"{number} {kind}" for kind, number in left_out.most_common())
        warnings.warn(f"{parameter}: {left_out.total()} files left out of {path}: {counts}", stacklevel=2)
    if not files.stamps:
        raise ValueError(f"{parameter}: {path} has no images; allowed are files of {', '.join(SUFFIXES)}")
    for name, (size, _) in files.stamps.items():
        if not 0 < size <= MAX_FILE_BYTES:
            raise ValueError(
                f"{parameter}: {name} in {path} has {size} bytes; allowed are 1 to {MAX_FILE_BYTES} an image"
            )
    return files


def _kind(name: str) -> str:
    """What a file is by its name: its suffix, or why it has none."""
    path = PurePosixPath(name)
    if any(part.startswith((".", "__MACOSX")) for part in path.parts):
        return HIDDEN
    return LINK if name.endswith("/") else path.suffix.lower() or "without a suffix"


def _folder(path: Path) -> tuple[Iterable[str], Callable, Callable]:
    """Names of files and of links to folders, a file's stamp, its content."""
    inside = []
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        place = Path(folder).relative_to(path)
        inside += [(place / name).as_posix() for name in names]
        inside += [f"{(place / name).as_posix()}/" for name in folders if Path(folder, name).is_symlink()]

    def stamp(name: str) -> tuple[int, int]:
        state = (path / name).stat()
        if not stat.S_ISREG(state.st_mode):  # a pipe would never end, a device might not
            raise ValueError(f"{path / name} is no regular file; allowed are files of {', '.join(SUFFIXES)}")
        return state.st_size, state.st_mtime_ns

    def read(name: str) -> bytes:
        try:
            with (path / name).open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            _unreadable(error, path / name)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"{path / name} is larger than it was; allowed are {MAX_FILE_BYTES} bytes")
        return content

    return inside, stamp, read


def _unreadable(error: OSError, path: Path | None = None) -> NoReturn:
    raise ValueError(f"{path or error.filename} cannot be read ({error.strerror})") from error


def _zip(path: Path, inside: str) -> tuple[Iterable[str], Callable, Callable]:
    """Names of files below a folder of a zip, a file's stamp, its content."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} is no whole zip ({error}); fetch or pack it again") from None
    _refuse_dangerous(path, archive.infolist())
    prefix = "" if inside == "." else inside.rstrip("/") + "/"
    below = (each for each in archive.infolist() if each.filename.startswith(prefix) and not each.is_dir())
    entries = {each.filename[len(prefix) :]: each for each in below}

    def read(name: str) -> bytes:
        try:
            return archive.read(entries[name])  # checks the CRC; threads may share the archive
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError) as error:
            raise ValueError(
                f"{path}: {prefix + name} is damaged ({error}); fetch or pack it again"
            ) from None

    return entries, lambda name: (entries[name].file_size, entries[name].CRC), read


def _refuse_dangerous(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise ValueError for paths that climb out, links, encrypted or repeated members, and bombs."""
    times = Counter(entry.filename for entry in entries)
    for entry in entries:
        name = entry.filename
        climbs = ".." in name.replace("\\", "/").split("/") or name.startswith(("/", "\\")) or ":" in name
        faults = {
            "climbs out of the folder; allowed are relative paths": climbs,
            "is a link; allowed are files and folders": stat.S_ISLNK(entry.external_attr >> 16),
            "is encrypted; allowed are plain files": entry.flag_bits & 0x1,
            "is there twice": times[name] > 1,
        }
        for fault in filter(faults.get, faults):
            raise ValueError(f"{path}: member {name!r} {fault}")
    # Members cannot grow beyond the size they declare: zipfile reads no further, and then the CRC is wrong.
    total = sum(entry.file_size for entry in entries)
    if total > max(MIN_BOMB_BYTES, MAX_EXPANSION * path.stat().st_size):
        raise ValueError(
            f"{path} unpacks to {total} bytes, more than {MAX_EXPANSION} times its size: a decompression bomb"
        )
