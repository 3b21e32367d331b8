"""compare: chains that it cannot use are errors, or are left out and named."""

from __future__ import annotations

import json

import pytest

from tests.compare import killed_run as script
from tokimp.chains.chain import Chain
from tokimp.chains.datasets import SkippedRecord
from tokimp.compare.compare import compare
from tokimp.errors import ChainError


def test_with_every_record_left_out_the_reasons_are_said() -> None:
    """Where all records were left out before, the error counts them and says of the first ones where and why."""
    skipped = [SkippedRecord(f"b.jsonl:{line}", "", f"not JSON ({line})") for line in (2, 5, 7, 8)]
    said = r"none of 4 chains can be used: b\.jsonl:2: not JSON \(2\); b\.jsonl:5: .*; b\.jsonl:7: [^;]*; and 1 more$"
    with pytest.raises(ChainError, match=said):
        compare([], script.ByteScorer(), ["position"], skipped=skipped)
    bad = Chain("bad", "?", "1" * 50, "1", source="b.jsonl:9")
    with pytest.raises(ChainError, match=r"none of 2 chains.*: b\.jsonl:2: .*; b\.jsonl:9: chain 'bad': 54 tokens"):
        compare([bad], script.ByteScorer(), ["position"], skipped=skipped[:1])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Chain("bad", "?", "1" * 50, "1", source="b.jsonl:7"), "54 tokens, but ByteScorer reads at most 40"),
        (Chain("bad", "?", "a\0b", "1", source="b.jsonl:7"), "the reasoning holds a NUL character at 1"),
        (Chain("bad", "?", "a\ud800b", "1", source="b.jsonl:7"), "half a surrogate pair at character 1"),
    ],
)
def test_unusable_chains_are_errors_or_counted(bad: Chain, reason: str) -> None:
    """A chain too long or with text no file can hold is an error; with a list of skipped ones it is named there."""
    chains = [script.CHAINS[0], bad]
    with pytest.raises(ChainError, match=r"b\.jsonl:7: chain 'bad'.*" + reason):
        compare(chains, script.ByteScorer(), ["position"])
    skipped = [SkippedRecord(where="b.jsonl:3", id="worse", reason="no JSON")]
    result = compare(chains, script.ByteScorer(), ["position"], skipped=skipped)
    assert result["chain_id"].to_numpy().tolist() == ["one"]
    assert result.attrs["skipped_count"] == 2
    stored = json.loads(result.attrs["skipped"])
    assert stored[0] == {"where": "b.jsonl:3", "id": "worse", "reason": "no JSON"}
    assert stored[1]["where"] == "b.jsonl:7"
    # Whoever shows the record says where it stands, and it is not to be said twice.
    assert stored[1]["reason"].startswith("chain 'bad': ")
    assert reason in stored[1]["reason"]
    assert len(skipped) == 2


def test_a_long_wrong_answer_counts_toward_the_context() -> None:
    """With an objective that reads the wrong answer, the longer of the two answers has to fit."""
    chain = Chain("long", "?", "1", "1", wrong_answer="9" * 50)
    compare([chain], script.ByteScorer(), ["position"])
    with pytest.raises(ChainError, match="54 tokens, but ByteScorer reads at most 40"):
        compare([chain], script.ByteScorer(), ["position"], objective="contrast")


def test_no_chain_left_is_an_error() -> None:
    """Where every chain is left out, the error gives the first one's reason."""
    chains = [Chain(f"bad-{i}", "?", "1" * (50 + i), "1") for i in range(2)]
    reason = r"none of 2 chains can be used.*'bad-0': 54 tokens, but ByteScorer reads at most 40"
    with pytest.raises(ChainError, match=reason):
        compare(chains, script.ByteScorer(), ["position"], skipped=[])
