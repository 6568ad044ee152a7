"""Pack .gpu/: what a GPU node without internet lacks to run this project. At the root of the checkout:

    bash gpu/pack.sh [IMAGES.zip] [FOLDER ...]

IMAGES.zip holds training images as train/CLASS/FILE; its name begins with the data set's, as cifar10-jpeg.zip. FOLDER
is what data/ holds of a data set, as data/MNIST. Copy the checkout and .gpu/ to the node, and there:

    bash .gpu/run.sh STAGE ...

Needs the standard library, pip and internet. What is packed already is not packed again.
"""

import argparse
import hashlib
import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLIBC = (39, 35, 34, 31, 28, 27, 24, 17)  # pip takes each as it stands
RUN = '#!/usr/bin/env bash\nexec bash "$(dirname "${BASH_SOURCE[0]}")/../gpu/run.sh" "$@"\n'
SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python below 3.11.4 knows no filter


def plain(name: str) -> str:
    """A package's name as pip compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(names: list[str], constraints: str) -> list[str]:
    """The lines NAME==VERSION of a constraints file; a name that it does not pin is a ValueError."""
    versions = {plain(line.split("==")[0]): line for line in constraints.split() if "==" in line}
    if missing := [name for name in names if plain(name) not in versions]:
        raise ValueError(f"gpu/lacking.txt: {', '.join(missing)}: not in constraints.txt")
    return [versions[plain(name)] for name in names]


def pack_wheels(folder: Path, wanted: list[str], python: str) -> None:
    """Download the wheels for Linux on x86-64 and that version of Python; the stamp says which are there."""
    stamp = hashlib.sha256("\n".join([python, *wanted]).encode()).hexdigest()
    if (folder / "stamp").exists() and (folder / "stamp").read_text() == stamp:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    tags = [f"manylinux_2_{n}_x86_64" for n in GLIBC] + ["manylinux2014_x86_64", "manylinux1_x86_64"]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *platforms]
    subprocess.run([*command, "--dest", str(folder), *wanted], check=True)
    (folder / "stamp").write_text(stamp)


def pack_images(source: Path, target: Path) -> None:
    """The training images of a zip, the same files under the same names, in one compressed stream.

    The headers of JPEG files are alike: together they shrink to a third. The node makes a zip of them again.
    """
    stored = io.BytesIO()
    with zipfile.ZipFile(source) as images, zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as plain:
        for name in sorted(n for n in images.namelist() if n.startswith("train/") and not n.endswith("/")):
            plain.writestr(zipfile.ZipInfo(name), images.read(name))
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(lzma.compress(stored.getvalue(), preset=2))
    partial.replace(target)


def pack_folder(source: Path, target: Path) -> None:
    """A folder below data/, its files without owner and time, so that equal files make an equal archive."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    partial = target.with_name(target.name + ".partial")
    with tarfile.open(partial, "w:xz", dereference=True) as archive:
        archive.add(source, source.name, filter=plain)
    partial.replace(target)


def commit(root: Path) -> str:
    """The commit as TIWLIB_COMMIT names it on the node, where no git can be asked: HASH, or HASH-dirty."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "tiwlib", "notebooks/*.py")
    return git("rev-parse", "HEAD") + ("-dirty" if changed else "")


def ignore(root: Path) -> None:
    """Keep .gpu/ out of this clone's git."""
    command = ["git", "-C", str(root), "rev-parse", "--git-path", "info/exclude"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    path = root / found
    lines = path.read_text().splitlines() if path.exists() else []
    if "/.gpu/" not in lines:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, "/.gpu/"]) + "\n")


def size(paths) -> float:
    """MiB of the files."""
    return sum(path.stat().st_size for path in paths if path.is_file() and not path.is_symlink()) / 2**20


def main(arguments: list[str] | None = None, root: Path = ROOT) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="*", type=Path, help="zips of images, folders of data/")
    parser.add_argument("--python", default="3.12", help="the node's version of Python (default: 3.12)")
    parser.add_argument("--no-wheels", action="store_true", help="the node lacks no package")
    parser.add_argument("--at-most", type=float, help="fail where checkout and .gpu/ have more MiB than this")
    options = parser.parse_args(arguments)
    for path in options.data:
        if not (path.is_dir() or zipfile.is_zipfile(path)):
            parser.error(f"{path}: neither a zip nor a folder")
    packed = root / ".gpu"
    packed.mkdir(exist_ok=True)
    ignore(root)
    if not options.no_wheels:
        lines = (root / "gpu" / "lacking.txt").read_text().splitlines()
        names = [line for line in lines if not line.startswith("#")]
        pack_wheels(packed / "wheels", pins(names, (root / "constraints.txt").read_text()), options.python)
    for path in options.data:
        folder = path.is_dir()
        target = packed / (path.resolve().name + (".tar.xz" if folder else ".xz"))
        if not target.exists():
            (pack_folder if folder else pack_images)(path, target)
    (packed / "commit").write_text(commit(root))
    (packed / "run.sh").write_text(RUN)
    (packed / "run.sh").chmod(0o755)
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    checkout = size(root / os.fsdecode(name) for name in listed.split(b"\0") if name)
    extra = size(packed.rglob("*"))
    wheels = size(packed.glob("wheels/*"))
    print(
        f"checkout {checkout:.1f} MiB + .gpu {extra:.1f} MiB (wheels {wheels:.1f}) = {checkout + extra:.1f} MiB"
    )
    if options.at_most and checkout + extra > options.at_most:
        sys.exit(f"more than {options.at_most:g} MiB: pack fewer images")


if __name__ == "__main__":
    main()
