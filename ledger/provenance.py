"""Which committed records are older than the hashes that a record has today."""

import json
from collections import Counter

from tiwlib.runs import PROJECT

SINCE = "2026-11-21T18:15"  # every record that was finished later has the code's hash


def provenances() -> dict[str, dict]:
    """The provenance of all committed records, by <notebook>/<run>."""
    found = sorted((PROJECT / "results").glob("*/*/provenance.json"))
    return {f"{path.parts[-3]}/{path.parts[-2]}": json.loads(path.read_text()) for path in found}


def unhashed() -> str:
    """How many records name no hash of the code, and which of notebook 07 none of their images."""
    found = provenances()
    old = [name for name, provenance in found.items() if "code" not in provenance["hashes"]]
    if not old:
        return "Every record names the hash of the library's code."
    bare = [name for name in old if name.startswith("07_baselines/") and not found[name]["hashes"]]
    by_notebook = Counter(name.split("/")[0][:2] for name in old if name[:2].isdigit())
    texts = ", ".join(f"{number} of {notebook}" for notebook, number in sorted(by_notebook.items()))
    rest = f" {', '.join(bare)} name no hash of their images either." if bare else ""
    return (
        f"{len(old)} of {len(found)} records were made before a record kept the hash of the library's code (notebooks: "
        f"{texts}); they name the commit that made them.{rest} A hash that nobody computed then is not made up now: it "
        "comes with the next run."
    )
