"""The committed records are those of before under new keys: no number was typed, none was lost."""

import json
import re
import subprocess

import migrate_records
import pytest

from tiwlib import runs

RESULTS = runs.PROJECT / "results"


def git(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", "-C", str(runs.PROJECT), *arguments], capture_output=True, text=True)


def original(path: str) -> str | None:
    """A file of before, or None where there was none."""
    if git("cat-file", "-e", migrate_records.BEFORE).returncode:
        pytest.skip(f"{migrate_records.BEFORE} is not in this clone")
    path = path.replace("08_baselines", "08_siblings")
    done = git("show", f"{migrate_records.BEFORE}:{path}")
    return done.stdout if done.returncode == 0 else None


def records() -> list[str]:
    return sorted(str(path.parent.relative_to(runs.PROJECT)) for path in RESULTS.glob("*/*/metrics.json"))


@pytest.mark.parametrize("notebook", sorted({record.split("/")[1] for record in records()}))
def test_a_record_is_the_one_of_before_under_new_keys(notebook):
    compared = 0
    for record in records():
        if record.split("/")[1] != notebook:
            continue
        made = json.loads((runs.PROJECT / record / "provenance.json").read_text())["finished"]
        of_before = original(f"{record}/provenance.json")
        if of_before is None or json.loads(of_before)["finished"] != made:
            continue  # the notebook has made it since
        params = json.loads(original(f"{record}/params.json")) | migrate_records.ADDED.get(notebook, {})
        assert json.loads((runs.PROJECT / record / "params.json").read_text()) == params
        before = json.loads(original(f"{record}/metrics.json"))
        after = migrate_records.migrated(notebook, before)
        assert json.loads((runs.PROJECT / record / "metrics.json").read_text()) == after
        assert numbers(after) == numbers(dropped(notebook, before))
        compared += 1
    if not compared:
        pytest.skip(f"every record of {notebook} was made anew")


def test_a_run_that_found_its_ratio_has_noted_the_cost_of_the_fit():
    """Those of notebook 04 as they were; a record that was made anew notes it itself."""
    names = [record for record in records() if record.startswith("results/04_train/")]
    texts = {name: original(f"{name}/provenance.json") for name in names}
    before = {name: json.loads(text) for name, text in texts.items() if text}
    after = migrate_records.with_fits(before)
    assert sum("ratio, kept" in one.get("stages", {}) for one in before.values()) == 24
    for name in before:
        one = json.loads((runs.PROJECT / name / "provenance.json").read_text())
        assert one["finished"] != before[name]["finished"] or one == after[name]
        assert "ratio, kept" not in one.get("stages", {})


def dropped(notebook: str, content: dict) -> dict:
    names = migrate_records.DROPPED.get(notebook, ())
    return {key: value for key, value in content.items() if key not in names}


def numbers(content) -> list[float]:
    """All numbers of a record, whatever their keys."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        return sorted(number for item in content for number in numbers(item))
    return [content] if isinstance(content, int | float) else []


def keys(content) -> set[str]:
    if isinstance(content, dict):
        return set(content) | {key for value in content.values() for key in keys(value)}
    return {key for item in content for key in keys(item)} if isinstance(content, list) else set()


@pytest.mark.parametrize("record", records())
def test_keys_of_records_are_identifiers(record):
    """A word in lower case, or a number: never the label of a figure."""
    content = json.loads((runs.PROJECT / record / "metrics.json").read_text())
    assert not [key for key in keys(content) if not re.fullmatch(r"[a-z][a-z0-9_]*|[0-9.]+", key)]


def test_two_keys_never_become_one():
    with pytest.raises(ValueError, match="two keys would be called tiw_dsm"):
        migrate_records.migrated("05_figures", {"TIW-DSM": 1, "tiw_dsm": 2})
