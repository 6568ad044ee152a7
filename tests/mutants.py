"""Mistakes put into the code on purpose: each must make its test fail.

    python tests/mutants.py            all of tests/mutants.toml
    python tests/mutants.py O4 R6      those

One at a time, in a copy of the repository's files. The test must pass there before, and then fail: an error while it
is collected does not count. Every mutant takes as long as its test, and some seconds for the imports.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

PROJECT = Path(__file__).resolve().parents[1]
PASSED, FAILED = 0, 1  # pytest's exit codes; others are errors of the call


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A row of the table: `old`, which occurs once in the file, becomes `new`; `test` must fail then."""

    id: str
    what: str
    file: str
    old: str
    new: str
    test: str

    def text(self) -> str:
        """The file with the mistake in it. An `old` that does not occur exactly once is a ValueError."""
        source = (PROJECT / self.file).read_text()
        if source.count(self.old) != 1:
            raise ValueError(
                f"{self.id}: old={self.old!r} occurs {source.count(self.old)} times in {self.file}"
            )
        return source.replace(self.old, self.new)


def table() -> list[Mutant]:
    """All mutants, in the order of the file."""
    return [
        Mutant(**row) for row in tomllib.loads((PROJECT / "tests" / "mutants.toml").read_text())["mutant"]
    ]


def copied(folder: Path) -> None:
    """The repository's files, the untracked ones too, without what git ignores."""
    listed = ["git", "-C", PROJECT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, check=True, text=True).stdout.split("\0"):
        if name and (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)


def outcome(tests: list[str], folder: Path) -> tuple[int, str]:
    """pytest's exit code for tests of that copy, and the first line of their first error."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    errors = re.findall(r"^E +(.+)", done.stdout, re.MULTILINE)
    return done.returncode, errors[0] if errors else (done.stdout + done.stderr).strip()[-300:]


def main(ids: list[str]) -> int:
    """Try the mutants of these ids, or all; returns how many survived."""
    known = {mutant.id: mutant for mutant in table()}
    if unknown := set(ids) - known.keys():
        raise SystemExit(f"{', '.join(sorted(unknown))}: no such mutant; known are {', '.join(known)}")
    chosen = [known[i] for i in ids] or list(known.values())
    survived = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        copied(folder)
        code, error = outcome(sorted({mutant.test for mutant in chosen}), folder)
        if code != PASSED:
            raise SystemExit(f"the tests do not pass without a mutant: {error}")
        for mutant in tqdm(chosen, desc="mutants"):
            source = (folder / mutant.file).read_text()
            (folder / mutant.file).write_text(mutant.text())
            code, error = outcome([mutant.test], folder)
            (folder / mutant.file).write_text(source)
            verdict = {FAILED: "killed", PASSED: "SURVIVED"}.get(code, f"PYTEST ENDS WITH {code}")
            if code != FAILED:
                survived.append(mutant.id)
            tqdm.write(f"{mutant.id:6s} {verdict}: {mutant.what}\n       {mutant.test}\n       {error[:150]}")
    print(f"{len(chosen) - len(survived)} of {len(chosen)} killed" + "".join(f", not {i}" for i in survived))
    return len(survived)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
