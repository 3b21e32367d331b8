"""Options that name a plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("value", "hinted"),
    [
        ("greedy,gradient", True),
        ("greedy:keep_ratio=0.5,gradient", True),
        ("gredy", False),
        ("attention:layers=[0,1],direction=up", False),
    ],
)
def test_a_list_of_methods_is_told_how_to_be_given(tokimp: Run, chains_file: Path, value: str, hinted: bool) -> None:
    """Commas stand between parameters: where they stand between methods, the error says to give the option again."""
    done = tokimp("compare", chains_file, "--estimator", value)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert ("to name several, give --estimator once for each" in done.err) == hinted


def test_an_option_that_takes_one_method_does_not_ask_for_several(tokimp: Run, chains_file: Path) -> None:
    """Of bench's --fast there is one."""
    done = tokimp("bench", chains_file, "--fast", "greedy,gradient")
    assert done.status == 2
    assert "once for each" not in done.err
