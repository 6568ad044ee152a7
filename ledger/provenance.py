"""What records say of how they were made: how long it took, and which are older than the hashes of today."""

import json
from collections import Counter

from tiwlib.runs import PROJECT
from workflow import plan

CLOCK = "*"  # marks times that are none of the processor
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


def seconds(provenance: dict) -> float:
    """Processor time, as on an idle machine; of records that are older than that, the time on the clock."""
    return provenance.get("cpu_seconds", provenance["wall_seconds"])


def as_seconds(provenance: dict) -> str:
    return f"{seconds(provenance):.0f} s" + ("" if "cpu_seconds" in provenance else f" {CLOCK}")


def times() -> str:
    """How long the runs of `make reproduce` took, from their records."""
    planned = plan.load(PROJECT / "workflow" / "reproduce.yaml").runs
    made = [json.loads((r.folder / "provenance.json").read_text()) for r in planned]
    clocked = sum("cpu_seconds" not in provenance for provenance in made)
    minutes = sum(map(seconds, made)) / 60
    most, busy = "", ""
    if clocked:
        most = "at most "
        busy = f" {clocked} of the runs were timed by the clock of a busy machine, which is longer."
    return (
        f"The {len(made)} runs of `make reproduce` took {most}{minutes:.0f} minutes of one thread, two at a time half "
        f"of that.{busy}"
    )
