"""The runs that would decide what is not decided: `python -m ledger.power` writes workflow/power.yaml from the ledger.

For each claim that is open, and that at most 20 seeds would decide at the measured mean and spread, the seeds that it
lacks. Repeat sweep, `make claims` and this until nothing is added; seeds that were added once stay. Whoever adds seeds
until an interval leaves a limit decides a little too often: the column "among all" is the stricter one.
"""

import json

import yaml

from ledger import evidence
from ledger.front import ledger
from ledger.rules import OPEN
from tiwlib import runs
from workflow import plan

NOTEBOOK = "05_train"


def lacking(entry: dict) -> list[int]:
    """The seeds that would decide a claim of claims.json; [] where it is decided, or no 20 would."""
    needed = entry.get("seeds_to_decide")
    if entry["verdict"] != OPEN or not isinstance(needed, int):
        return []
    first = max(entry["seeds"]) + 1  # a seed below may have been left out for a reason
    return list(range(first, first + needed - len(entry["seeds"])))


def template(params: dict) -> str:
    """The name of a run with its seed left open."""
    seed = f"seed{params['seed']}"
    if not params["run"].endswith(seed):
        raise ValueError(
            f"run={params['run']!r}: must end with {seed!r}, for another seed to have a name of its own"
        )
    return params["run"].removesuffix(seed) + "seed{seed}"


def wanted(entries: list[dict], before: tuple[plan.Planned, ...] = ()) -> dict[str, dict]:
    """Entries of a sweep's file by what is common to their runs. before: runs that the file has already."""
    asked = [(r.params, [r.params["seed"]]) for r in before]
    for entry in entries:
        more = lacking(entry)
        names = [run.removeprefix(f"{NOTEBOOK}/") for run in entry["runs"]] if more else []
        for name in names:
            path = runs.results_root() / NOTEBOOK / name
            if path.is_dir():
                asked.append((runs.read_record(path)["params"], more))
    usual, found = runs.defaults(NOTEBOOK), {}
    for params, seeds in asked:
        common = evidence.but_for_the_seed(params)
        given = {name: value for name, value in common.items() if value != usual[name]}
        new = {"notebook": NOTEBOOK, "run": template(params), "params": given, "vary": {"seed": []}}
        vary = found.setdefault(json.dumps(common, sort_keys=True), new)["vary"]
        vary["seed"] = sorted({*vary["seed"], *seeds})
    return found


def main() -> None:
    before = plan.load(evidence.POWER).runs if evidence.POWER.exists() else ()
    entries = list(wanted(ledger(), before).values())
    number = sum(len(entry["vary"]["seed"]) for entry in entries)
    if not entries:
        print("no claim is open that 20 seeds would decide")
        return
    head = f"# Written by `python -m ledger.power`: {number} runs that would decide claims which are open.\n"
    evidence.POWER.write_text(head + yaml.safe_dump({"runs": entries}, sort_keys=False, width=110))
    print(
        f"{evidence.POWER.relative_to(runs.PROJECT)}: {number} runs, of which {len(before)} were asked for before"
    )


if __name__ == "__main__":
    main()
