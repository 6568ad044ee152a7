"""The table of mutants is true to the code: every mistake can be put in, and its test is there."""

from collections import Counter

import mutants
import pytest

TABLE = mutants.table()


def test_every_mutant_has_a_name_of_its_own():
    assert [name for name, count in Counter(mutant.id for mutant in TABLE).items() if count > 1] == []


@pytest.mark.parametrize("mutant", TABLE, ids=lambda mutant: mutant.id)
def test_a_mutant_can_be_put_in_and_its_test_exists(mutant):
    assert mutant.text() != (mutants.PROJECT / mutant.file).read_text()
    file, _, name = mutant.test.partition("::")
    function = name.rpartition("::")[2].partition("[")[0]
    assert f"def {function}(" in (mutants.PROJECT / file).read_text()


def test_a_text_that_is_not_there_once_is_refused():
    row = {"id": "X", "what": "", "file": "tests/mutants.py", "new": "", "test": ""}
    with pytest.raises(ValueError, match="X: old='no such text' occurs 0 times in tests/mutants.py"):
        mutants.Mutant(old="no such " + "text", **row).text()
