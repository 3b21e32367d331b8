"""Shards: all of them together are the run, bit for bit, and none of them is empty."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import tokimp as ti
from tests.compare.test_cells import Together, chains
from tests.compare.test_compare import same_bytes
from tokimp.compare.shard import Shard, read_shard
from tokimp.errors import TokimpError
from tokimp.results.joining import concat


@given(st.integers(1, 200), st.integers(1, 9), st.data())
def test_shards_are_whole_groups_in_order(length: int, size: int, data: st.DataObject) -> None:
    """Shards one after the other are all chains; each has whole groups, as many as any other or one less."""
    groups = -(-length // size)
    count = data.draw(st.integers(1, groups))
    parts = [Shard(number, count).of(range(length), size) for number in range(1, count + 1)]
    assert [chain for part in parts for chain in part] == list(range(length))
    numbers = [-(-len(part) // size) for part in parts]
    assert max(numbers) - min(numbers) <= 1
    assert min(numbers) >= 1
    assert all(part[0] % size == 0 for part in parts)


def test_a_shard_is_read_as_it_is_written() -> None:
    """``2/8`` is the second of eight, with or without spaces."""
    assert read_shard(" 2 / 8 ") == Shard(2, 8)
    assert str(Shard(2, 8)) == "2/8"


@pytest.mark.parametrize("wrong", ["", "2", "2/", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3"])
def test_what_names_no_shard_is_refused(wrong: str) -> None:
    """A number out of range, or another text, is an error."""
    with pytest.raises(TokimpError, match="shard"):
        read_shard(wrong)


def test_more_shards_than_groups_are_refused() -> None:
    """A shard without chains is an error that says how many shards there can be."""
    with pytest.raises(TokimpError, match=r"7 chains in groups of 3 cannot.* into 4 shards; ask for 3 at most"):
        Shard(1, 4).of(range(7), 3)


@pytest.mark.parametrize("at_once", [1, 3])
def test_shards_joined_are_the_whole_run(at_once: int, tmp_path: Path) -> None:
    """Results of shards, in any order, join to the result of the run; a shard's folder grows to the whole run."""

    def run(shard: str | None = None, out: Path | None = None) -> xr.DataTree:
        return ti.compare(
            chains(7),
            Together(),
            ["leave_one_out", "position"],
            prompt_format="plain",
            chains_at_once=at_once,
            shard=shard,
            out=out,
        )

    whole = run()
    parts = [run(f"{number}/3") for number in (3, 1, 2)]
    assert [part.attrs["shard"] for part in parts] == ["3/3", "1/3", "2/3"]
    joined = concat(parts)
    assert same_bytes(joined, whole)
    assert {name: joined.attrs[name] for name in whole.attrs if name != "created"} == {
        name: value for name, value in whole.attrs.items() if name != "created"
    }
    run("2/3", tmp_path)
    assert same_bytes(run(out=tmp_path), whole)
