"""How many hostile cases a tree handles, by class: this one, or an older commit in a temporary worktree.

    python tests/hostile/ask.py                  this tree
    python tests/hostile/ask.py --at fdeabdb     the commit before the defences
    python tests/hostile/ask.py --like "groups"  the cases whose class and text match this pattern

A case is handled where the tree refuses it, or goes on and says so, as tests/hostile/cases.py demands. Each runs in a
process of its own, with two gigabytes and two minutes. The exit status is 1 where one is not handled. Kills of whole
notebooks are in tests/notebooks/test_stopped_notebook.py, for they take minutes.
"""

import argparse
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve()
SECONDS, MEMORY = 120, 2 * 2**30  # of a case, beyond what the imports take


def asked(case, tree, folder: Path) -> str:
    """What is wrong with a case, "" where it is handled; asked in a child, which cannot hurt the next one."""
    folder.mkdir()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        os.chdir(folder)
        os.environ |= {"TIWLIB_RESULTS": str(folder / "results"), "TIWLIB_CHECKPOINTS": str(folder / "kept")}
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        wrong = ""
        try:
            case.ask(tree, folder)
        except BaseException as error:
            wrong = f"{type(error).__name__}: {error}"
        os.write(write, wrong.replace("\n", " ")[:400].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = answers.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}" + f" after {SECONDS} s" * (
            os.WTERMSIG(status) == signal.SIGALRM
        )
    return answer


def ask_all(folder: Path, like: str) -> int:
    """Ask the tree that this process imports; returns how many cases are not handled."""
    sys.path.insert(0, str(HERE.parent))
    import cases
    import torch
    import trees

    torch.set_num_threads(1)  # threads do not survive a fork
    kind = trees.Before if (folder / "tiwlib" / "datasets").is_dir() else trees.Tree
    tree, handled, all_of = kind(folder), Counter(), Counter()
    with tempfile.TemporaryDirectory() as place:
        for i, case in enumerate(cases.CASES):
            if re.search(like, f"{case.kind}: {case.what}"):
                wrong = asked(case, tree, Path(place, str(i)))
                all_of[case.kind] += 1
                handled[case.kind] += not wrong
                if wrong:
                    print(f"NOT HANDLED  {case.kind}: {case.what}\n             {wrong[:160]}", flush=True)
    for name, number in all_of.items():
        print(f"{name:32s}{handled[name]:4d} of {number}")
    print(f"{'all':32s}{handled.total():4d} of {all_of.total()}")
    return all_of.total() - handled.total()


def at(commit: str, arguments: list[str]) -> int:
    """The same in a temporary worktree of a commit."""
    root = HERE.parents[2]
    with tempfile.TemporaryDirectory() as place:
        git = ["git", "-C", str(root), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", f"{place}/tree", commit], check=True)
        try:
            return ask(Path(place, "tree"), arguments)
        finally:
            subprocess.run([*git, "remove", "--force", f"{place}/tree"], check=True)


def ask(folder: Path, arguments: list[str]) -> int:
    """A process that imports the tree in the folder, and what it says."""
    environment = os.environ | {"PYTHONPATH": str(folder), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", str(HERE), "--inside", str(folder), *arguments]
    return subprocess.run(command, cwd=folder, env=environment).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", metavar="COMMIT", help="ask this commit instead")
    parser.add_argument("--like", default="", help="a pattern of a case's class or text")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return ask_all(options.inside, options.like) > 0
    arguments = ["--like", options.like]
    return at(options.at, arguments) if options.at else ask(HERE.parents[2], arguments)


if __name__ == "__main__":
    sys.exit(main())
