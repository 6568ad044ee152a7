"""What the named settings are: source, licence, size, counts and hash of the split: data/manifest.json.

The hash is there for each setting whose group sizes are known without a download. The file is written by
`python -m tiwlib.data manifest`, never by hand; a test makes it anew and compares.
"""

import json
from pathlib import Path

import numpy as np

from tiwlib.data import SOURCES, bias
from tiwlib.data.settings import SETTINGS
from tiwlib.data.sources import origin

PATH = Path(__file__).resolve().parents[2] / "data" / "manifest.json"
SEED = 0


def row(name: str) -> dict:
    """The manifest's entry for a named setting; counts and sha256 are None where only the data tell them."""
    setting = SETTINGS[name]
    source, comes_from = SOURCES[setting.source], origin(setting.source)
    arguments = setting.arguments
    total = arguments["total"] if "total" in arguments else sum(arguments["counts"].values())
    entry = {
        "source": setting.source,
        "title": source.title,
        "url": comes_from.url,
        "licence": comes_from.licence,
        "download_bytes": comes_from.download_bytes,
        "bias": setting.bias,
        "arguments": setting.arguments,
        "reference_share": setting.reference_share,
        "biased": total,
        "reference": round(setting.reference_share * total),
        "biased_counts": None,
        "reference_counts": None,
        "sha256": None,
        "made_by": f"python -m tiwlib.data prepare {name}",
    }
    if source.group_sizes is not None:
        sizes = np.array(source.group_sizes)
        names = source.group_names or tuple(map(str, range(len(sizes))))
        split = bias.draw(name, setting, sizes, names, SEED)
        counts = split.counts(np.repeat(np.arange(len(sizes)), sizes), len(sizes))
        entry |= {f"{part}_counts": numbers.tolist() for part, numbers in counts.items()}
        entry["sha256"] = split.sha256
    return entry


def shares(name: str) -> dict[str, np.ndarray] | None:
    """Group shares of both sets of a setting, {"biased": (G,), "reference": (G,)}; None where only data tell them."""
    entry = row(name) if name in SETTINGS else {}
    counts = {part: entry.get(f"{part}_counts") for part in ("biased", "reference")}
    if None in counts.values():
        return None
    return {part: np.array(numbers) / sum(numbers) for part, numbers in counts.items()}


def write(path: Path = PATH) -> None:
    """Write all entries as JSON, one line each, so that a change shows as a changed line."""
    lines = [f'  "{name}": {json.dumps(row(name))}' for name in SETTINGS]
    path.write_text(f'{{"seed": {SEED}, "settings": {{\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")


def known_hash(name: str, seed: int) -> str | None:
    """The sha256 that the manifest has for a setting, or None where it has none for it or for that seed."""
    if name not in SETTINGS or seed != SEED or not PATH.is_file():  # an installed copy has no data folder
        return None
    return json.loads(PATH.read_text(encoding="utf-8"))["settings"][name]["sha256"]
