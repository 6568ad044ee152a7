"""Which group each image file belongs to: from its folder, or from a table."""

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tiwlib.data.archive import ImageFiles


def label(files: ImageFiles, groups: str) -> dict[str, str]:
    """Group of each file: "folders" takes the first folder of its path, else a CSV is read.

    The CSV has columns file (path inside the folder or zip) and group; an empty group leaves a file out. Spaces
    around a cell do not count.
    Raises ValueError for a file without a group, and for a table that names a file which is not there, or one
    twice, or no group at all; FileNotFoundError where there is no table.
    """
    return _from_folders(files) if groups == "folders" else _from_table(files, Path(groups))


def _from_folders(files: ImageFiles) -> dict[str, str]:
    loose = [name for name in files.names if "/" not in name]
    if loose:
        raise ValueError(
            f"groups: {loose[0]} of {files.label} is in no class sub-folder; give a CSV of file and group"
        )
    return {name: name.split("/", 1)[0] for name in files.names}


def _from_table(files: ImageFiles, path: Path) -> dict[str, str]:
    if not path.is_file():
        raise FileNotFoundError(
            f"groups: {path} is not there; allowed are 'folders' or a CSV of file and group"
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as content:
            header, *rows = ([cell.strip() for cell in row] for row in csv.reader(content, strict=True))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"groups: {path} is no CSV ({error})") from None
    if not {"file", "group"} <= set(header):
        raise ValueError(f"groups: {path} has columns {', '.join(header)}; it needs file and group")
    at = header.index("file"), header.index("group")
    for line, row in enumerate(rows, start=2):
        if any(row) and (len(row) <= max(at) or any(row[len(header) :])):
            raise ValueError(f"groups: {path} has {len(row)} cells in row {line}; its header {len(header)}")
    table = [[row[i] for i in at] for row in rows if any(row)]
    listed = Counter(file for file, _ in table)
    for wrong, what in (
        ([file for file, number in listed.items() if number > 1], "named twice"),
        (sorted(listed.keys() - set(files.names)), f"not in {files.label}"),
        (sorted(set(files.names) - listed.keys()), "without a row (leave its group empty to leave it out)"),
    ):
        if wrong:
            raise ValueError(f"groups: {path}: {wrong[0]} is {what}; {len(wrong)} such files")
    labels = {file: group for file, group in table if group}
    if not labels:
        raise ValueError(f"groups: {path} gives no file a group")
    return labels


def names_of(labels: Iterable[str]) -> list[str]:
    """The names of groups in ascending order. Names that differ in case or spaces alone are a ValueError."""
    names = sorted(set(labels))
    spelt = {}
    for name in names:
        other = spelt.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), name)
        if other != name:
            raise ValueError(
                f"groups: {other!r} and {name!r} are spelt alike but for case or spaces; allowed is one "
                f"spelling of a group in all sets"
            )
    return names
