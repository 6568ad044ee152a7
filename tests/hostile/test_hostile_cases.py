"""The script of the hostile cases: that it asks this tree, and that a case can fail. `ask.py` counts by class."""

import subprocess
import sys
import time
from collections import Counter

import ask
import cases
import pytest


def test_every_case_has_a_text_of_its_own():
    texts = Counter((case.kind, case.what) for case in cases.CASES)
    assert [text for text, count in texts.items() if count > 1] == []


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (lambda tree, folder: None, ""),
        (lambda tree, folder: (folder / "x").mkdir(), ""),
        (lambda tree, folder: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda tree, folder: len(bytearray(8 * 2**30)), "MemoryError: "),
        (lambda tree, folder: time.sleep(60), "ended by SIGALRM after 1 s"),
    ],
    ids=["nothing", "a folder of its own", "an error", "memory", "time"],
)
def test_a_case_is_asked_in_a_process_of_its_own(tmp_path, monkeypatch, question, says):
    monkeypatch.setattr(ask, "SECONDS", 1)
    assert ask.asked(cases.Case("a class", "a case", question), None, tmp_path / "case") == says


def test_only_a_clean_error_with_its_parts_is_a_refusal():
    with cases.refused("a=1"):
        raise ValueError("a=1: must be 2")
    for error in (ValueError("b=1"), TypeError("a=1"), None):
        with pytest.raises(AssertionError), cases.refused("a=1"):
            if error:
                raise error


@pytest.mark.slow
def test_this_tree_handles_all_cases():
    done = subprocess.run([sys.executable, ask.__file__], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
