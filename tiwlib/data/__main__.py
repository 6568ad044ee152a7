"""The data sets from a shell: `python -m tiwlib.data list | prepare | verify | manifest`."""

import argparse
import sys
from pathlib import Path

from tiwlib.data import bias, manifest, splits
from tiwlib.data.bias import Biased
from tiwlib.data.settings import SETTINGS, find
from tiwlib.data.sources import SOURCES, origin
from tiwlib.data.store import checksum


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for what went wrong, 2 for a wrong command line."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tiwlib.data", description="Biased data sets by name.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="all settings with sizes and licences").set_defaults(command=_list)
    for command, text in (
        (_prepare, "fetch what is missing, build the array, write the split"),
        (_verify, "check array and split against their hashes and the manifest"),
    ):
        added = commands.add_parser(command.__name__.strip("_"), help=text)
        added.add_argument("setting", help="a name from `list`, or a JSON file (see data/README.md)")
        added.add_argument(
            "--root", type=Path, default=Path("data"), help="where the data are (default: data)"
        )
        added.add_argument("--source", help="folder or zip of the images, instead of a download")
        added.add_argument("--seed", type=int, default=0)
        added.set_defaults(command=command)
    added = commands.add_parser("manifest", help="write data/manifest.json anew")
    added.add_argument("--out", type=Path, default=manifest.PATH)
    added.set_defaults(command=lambda options: manifest.write(options.out))
    return parser


def _list(options: argparse.Namespace) -> None:
    form = "{:22}{:>8}{:>11}{:>8}{:>10}  {:10}{}"
    print(form.format("setting", "biased", "reference", "groups", "download", "split", "licence of the data"))
    for name in SETTINGS:
        row = manifest.row(name)
        groups = len(row["biased_counts"]) if row["biased_counts"] else "?"
        split = row["sha256"][:8] if row["sha256"] else "?"
        numbers = f"{row['biased']:,}", f"{row['reference']:,}", groups, _download(row["download_bytes"])
        print(form.format(name, *numbers, split, row["licence"]))
    print("? is known once the data are there")


def _prepare(options: argparse.Namespace) -> None:
    setting = find(options.setting)
    if setting.source in SOURCES:
        source = origin(setting.source)
        print(f"{SOURCES[setting.source].title}\n  url       {source.url}\n  licence   {source.licence}")
        if options.source is None:
            print(f"  download  {_download(source.download_bytes)}")
    made = bias.load(options.setting, options.root, options.seed, options.source, download=True)
    path = _split_path(options)
    made.split.write(path)
    _describe(made, path)
    _compare_with_manifest(made)


def _verify(options: argparse.Namespace) -> None:
    path = _split_path(options)
    split = splits.read(path)
    made = bias.load(options.setting, options.root, options.seed, options.source)
    if made.split.sha256 != split.sha256:
        raise ValueError(f"{path} has sha256 {split.sha256}; drawn anew it is {made.split.sha256}")
    found = checksum(made.data.images, made.data.groups)
    if found != made.data.sha256:
        raise ValueError(
            f"the array of {made.data.name} has sha256 {found}, it was built as {made.data.sha256}"
        )
    _describe(made, path)
    print("  checked   the array and the split are what they were built as")
    _compare_with_manifest(made)


def _split_path(options: argparse.Namespace) -> Path:
    return options.root / "splits" / f"{Path(options.setting).stem}-seed{options.seed}.json"


def _describe(made: Biased, path: Path) -> None:
    data, split = made.data, made.split
    number, channels, height, width = data.images.shape
    print(f"  images    {number:,} of {channels} x {height} x {width}: {data.name}")
    for part, counts in split.counts(data.groups, len(data.group_names)).items():
        span = f"{counts.max():,} to {counts.min():,}" if counts.max() > counts.min() else f"{counts.max():,}"
        print(f"  {part:10}{counts.sum():,} in {len(counts)} groups of {span}")
    print(f"  split     {path}\n  sha256    {split.sha256}")


def _compare_with_manifest(made: Biased) -> None:
    expected = manifest.known_hash(made.split.setting, made.split.seed)
    if expected is None:
        print("  manifest  has no hash for this setting and seed")
    elif expected == made.split.sha256:
        print("  manifest  has the same hash")
    else:
        raise ValueError(f"{made.data.name}: the manifest has sha256 {expected}; are images missing?")


def _download(size: int | None) -> str:
    return "by hand" if size is None else "none" if size == 0 else f"{size / 1e6:,.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
