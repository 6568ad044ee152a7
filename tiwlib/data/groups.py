"""Which group each image file belongs to: from its folder, or from a table."""

from pathlib import Path

from tiwlib.data.archive import ImageFiles


def label(files: ImageFiles, groups: str) -> dict[str, str]:
    """Group of each file: "folders" takes the first folder of its path, else a CSV is read.

    The CSV has columns file (path inside the folder or zip) and group; an empty group leaves a file out.
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
    import pandas as pd  # 40 MB that only a table needs

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' parser errors are ValueErrors
        raise ValueError(f"groups: {path} is no CSV ({error})") from None
    if not {"file", "group"} <= set(table.columns):
        raise ValueError(f"groups: {path} has columns {', '.join(table.columns)}; it needs file and group")
    twice = table.file[table.file.duplicated()]
    missing = table.file[~table.file.isin(files.names)]
    unnamed = sorted(set(files.names) - set(table.file))
    for wrong, what in (
        (twice, "named twice"),
        (missing, f"not in {files.label}"),
        (unnamed, "without a row (leave its group empty to leave it out)"),
    ):
        if len(wrong):
            raise ValueError(f"groups: {path}: {list(wrong)[0]} is {what}; {len(wrong)} such files")
    labels = {file: group for file, group in zip(table.file, table.group, strict=True) if group}
    if not labels:
        raise ValueError(f"groups: {path} gives no file a group")
    return labels
