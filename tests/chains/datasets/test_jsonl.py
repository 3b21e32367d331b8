"""tokimp's own JSONL, and what every format's bad records have in common."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.chains.datasets import SkippedRecord, demo_chains, load_chains, save_chains
from tokimp.chains.think_tags import inside_think_tags
from tokimp.errors import ChainError

GOOD: dict[str, Any] = {"id": "a", "question": "How many?", "reasoning": "So 3+4=7.", "answer": "7"}


def write(folder: Path, *lines: object) -> Path:
    """Write lines (objects as JSON, bytes as they are) to a file."""
    path = folder / "chains.jsonl"
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def test_every_field_is_read(tmp_path: Path) -> None:
    """All fields reach the chain as they are, and the chain knows its file and line."""
    optional = {"gold": "7", "system": "Be brief.", "wrong_answer": "8"}
    spans = [{"start": 3, "end": 8, "label": "symbolic_math"}]
    path = write(tmp_path, GOOD, {**GOOD, **optional, "id": "b", "category": spans, "filler": [], "gold": None})
    first, second = load_chains(path)
    assert first == Chain("a", "How many?", "So 3+4=7.", "7", source=f"{path}:1")
    assert (second.gold, second.system, second.wrong_answer) == (None, "Be brief.", "8")
    assert second.category == (CategorySpan(3, 8, "symbolic_math"),)
    assert second.source == f"{path}:2"


_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VISIBLE = _TEXT.filter(lambda text: bool(text.strip()))


@given(chains=st.lists(st.tuples(_TEXT, _VISIBLE, _VISIBLE), min_size=1, max_size=5), escaped=st.booleans())
@settings(max_examples=50, deadline=None)
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, chains: list[tuple[str, str, str]], escaped: bool
) -> None:
    """Whatever stands in the three texts is read as it was written, escaped or in UTF-8."""
    path = tmp_path_factory.mktemp("jsonl") / "chains.jsonl"
    names = ("question", "reasoning", "answer")
    objects = [{"id": str(n), **dict(zip(names, texts, strict=True))} for n, texts in enumerate(chains)]
    path.write_bytes(b"\n".join(json.dumps(fields, ensure_ascii=escaped).encode() for fields in objects))
    assert [(chain.question, chain.reasoning, chain.answer) for chain in load_chains(path)] == chains


def without(field: str) -> dict[str, Any]:
    """Return a record that is good but for a missing field."""
    return {key: value for key, value in {**GOOD, "id": "bad"}.items() if key != field}


BAD: dict[str, tuple[object, str, str]] = {
    "no question": (without("question"), "bad", "'question' is missing"),
    "no reasoning": (without("reasoning"), "bad", "'reasoning' is missing"),
    "no answer": (without("answer"), "bad", "'answer' is missing"),
    "no id": (without("id"), "", "'id' is missing"),
    "empty id": ({**GOOD, "id": ""}, "", "empty id"),
    "number as id": ({**GOOD, "id": 3}, "", "'id' must be text, not int"),
    "empty reasoning": ({**GOOD, "id": "bad", "reasoning": " \n"}, "bad", "the reasoning is empty"),
    "empty answer": ({**GOOD, "id": "bad", "answer": ""}, "bad", "the answer is empty"),
    "number as answer": ({**GOOD, "id": "bad", "answer": 7}, "bad", "'answer' must be text, not int: write 7 as"),
    "null question": (
        {**GOOD, "id": "bad", "question": None},
        "bad",
        "and is null: write the text",
    ),
    "number as gold": ({**GOOD, "id": "bad", "gold": 7}, "bad", "'gold' must be text"),
    "half a surrogate": (rb'{"id": "bad", "question": "\ud800", "reasoning": "a", "answer": "b"}', "bad", "surrogate"),
    "same id": ({**GOOD}, "a", r"the id is taken by .*:1"),
    "bad JSON": (b'{"id": "bad", ', "", "not JSON"),
    "endless number": (
        b'{"id": "bad", "gold": ' + b"7" * 5000 + b"}",
        "",
        "more digits than can be read; write it as text",
    ),
    "key twice": (b'{"id": "bad", "id": "c"}', "", "the key 'id' stands twice"),
    "key twice within": (b'{"id": "bad", "category": [{"end": 1, "end": 2}]}', "", "the key 'end' stands twice"),
    "not an object": ([GOOD], "", "not a JSON object but a list"),
    "not UTF-8": (b'{"id": "bad\xff"}', "", "not UTF-8 at byte 11"),
    "blank wrong answer": ({**GOOD, "id": "bad", "wrong_answer": ""}, "bad", "the wrong_answer is empty"),
    "category no list": ({**GOOD, "id": "bad", "category": {}}, "bad", "'category' must be a list"),
    "category no span": ({**GOOD, "id": "bad", "category": [{"start": 0}]}, "bad", r"category\[0\] must be an object"),
    "category outside": (
        {**GOOD, "id": "bad", "category": [{"start": 0, "end": 99, "label": "x"}]},
        "bad",
        "span 0:99 .* does not lie within",
    ),
    "category true": (
        {**GOOD, "id": "bad", "category": [{"start": True, "end": 2, "label": "x"}]},
        "bad",
        "'start' must be a whole number",
    ),
    "category label": (
        {**GOOD, "id": "bad", "category": [{"start": 0, "end": 2, "label": 3}]},
        "bad",
        r"'category\[0\]' must be text",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_record_is_an_error_that_names_file_line_and_id(tmp_path: Path, kind: str) -> None:
    """Reading stops at the first bad record, and the message says where it is, which chain, and what is wrong."""
    line, chain_id, reason = BAD[kind]
    path = write(tmp_path, GOOD, line, {**GOOD, "id": "c"})
    with pytest.raises(ChainError, match=reason) as caught:
        load_chains(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert f"chain {chain_id!r}" in str(caught.value) or not chain_id


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_record_is_left_out_and_listed_on_request(tmp_path: Path, kind: str) -> None:
    """With a list for skipped records the others are read; the list has the bad one's place, id and reason."""
    line, chain_id, _ = BAD[kind]
    path = write(tmp_path, GOOD, line, {**GOOD, "id": "c"})
    skipped: list[SkippedRecord] = []
    assert [chain.id for chain in load_chains(path, skipped=skipped)] == ["a", "c"]
    assert [(record.where, record.id) for record in skipped] == [(f"{path}:2", chain_id)]
    assert skipped[0].reason
    assert not skipped[0].reason.startswith(str(path))


def test_limit_counts_good_chains_and_reads_no_further(tmp_path: Path) -> None:
    """Records left out do not count toward the limit, and what follows the last chain is not looked at."""
    path = write(tmp_path, GOOD, b"{", {**GOOD, "id": "c"}, b"{")
    skipped: list[SkippedRecord] = []
    assert [chain.id for chain in load_chains(path, limit=2, skipped=skipped)] == ["a", "c"]
    assert len(skipped) == 1
    assert [chain.id for chain in load_chains(path, limit=1)] == ["a"]
    with pytest.raises(ChainError, match="limit must be at least 1, not 0"):
        load_chains(path, limit=0)


def test_byte_order_mark_empty_lines_and_carriage_returns_are_passed_over(tmp_path: Path) -> None:
    """Files saved by other systems' editors are read; lines keep their numbers."""
    path = write(tmp_path, b"\xef\xbb\xbf\r", json.dumps(GOOD).encode() + b"\r", b"")
    assert [chain.source for chain in load_chains(path)] == [f"{path}:2"]


def test_a_file_that_is_missing_empty_or_a_folder_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    """No list of skipped records hides that there is nothing to read."""
    for path, reason in ((tmp_path / "no.jsonl", "no such file|cannot be read"), (tmp_path, "cannot be read")):
        for source in (path, str(path)):
            with pytest.raises(ChainError, match=reason) as caught:
                load_chains(source, skipped=[])
            assert str(path) in str(caught.value)
    with pytest.raises(ChainError, match="the file is empty"):
        load_chains(write(tmp_path, b" "), skipped=[])
    with pytest.raises(ChainError, match="no format 'csv'; formats are auto, jsonl"):
        load_chains(write(tmp_path, GOOD), format="csv")


def test_a_bad_first_record_does_not_hide_the_format(tmp_path: Path) -> None:
    """The format goes by the first record that shows one, not simply by the first."""
    path = write(tmp_path, {"question": "q", "answer": "no mark"}, {"question": "q", "answer": "So 7.\n#### 7"})
    with pytest.raises(ChainError, match=r":1: chain 'gsm8k-[0-9a-f]{10}': 'answer' does not end in '#### '"):
        load_chains(path)


def test_the_format_is_looked_for_in_the_first_records_only(tmp_path: Path) -> None:
    """A long file of no known format is not read to its end; a format that shows among the first 100 is found."""
    unknown = {"question": "q", "answer": "no mark"}
    marked = {"question": "q", "answer": "So 7.\n#### 7"}
    with pytest.raises(ChainError, match=r":1: the field 'id' is missing"):
        load_chains(write(tmp_path, *[unknown] * 100, b"{"), limit=1)
    skipped: list[SkippedRecord] = []
    (chain,) = load_chains(write(tmp_path, *[unknown] * 99, marked), skipped=skipped)
    assert (chain.reasoning, len(skipped)) == ("So 7.", 99)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(gzip.compress(b"{}")), "compressed twice.*gzip.*unpack it once"),
        (b"\x28\xb5\x2f\xfd....", "zstd.*unzstd"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\x89HDF\r\n", "netCDF.*tokimp analyze"),
        ('{"id": "a"}'.encode("utf-16"), "UTF-16.*UTF-8"),
    ],
    ids=["twice", "zstd", "zip", "hdf5", "utf16"],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    """Archives, results and other encodings are told by their first bytes, with what to do."""
    path = tmp_path / "chains.jsonl"
    path.write_bytes(content)
    with pytest.raises(ChainError, match=reason):
        load_chains(path, skipped=[])


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    """Whoever gives a folder learns that it is one, and for the folder of a run, which commands read it."""
    with pytest.raises(ChainError, match=r"a folder cannot be read; give the path of a file of chains$"):
        load_chains(tmp_path)
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(
        ChainError, match=r"a folder cannot be read; .*; tokimp analyze and tokimp prune --run read runs$"
    ):
        load_chains(tmp_path)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is null: write the text, or leave the record out"),
        ([{"role": "user"}], "is a list of 1: write its parts as one text"),
        ({"text": "How?"}, r"is an object \(with 'text'\): write one text instead"),
        (7, "not int: write 7 as a string"),
    ],
)
def test_what_is_no_text_is_told_how_to_become_one(tmp_path: Path, value: object, reason: str) -> None:
    """The advice fits the value: nobody is told to write null or a list as a string."""
    with pytest.raises(ChainError, match=f"'question' must be text, (and )?{reason}"):
        load_chains(write(tmp_path, {**GOOD, "question": value}))


@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_may_be_one_list(tmp_path: Path, indent: int | None) -> None:
    """A JSON list of objects is read as their lines would be; what is no object is named by its place."""
    path = tmp_path / "chains.json"
    path.write_text(json.dumps([GOOD, 7, {**GOOD, "id": "b"}], indent=indent), encoding="utf-8")
    with pytest.raises(ChainError, match=r"chains\.json\[2\]: not a JSON object but a number"):
        load_chains(path)
    skipped: list[SkippedRecord] = []
    assert [chain.source for chain in load_chains(path, skipped=skipped)] == [f"{path}[1]", f"{path}[3]"]
    assert [record.where for record in skipped] == [f"{path}[2]"]
    for content, reason in (("[]", "the list is empty"), ("[{", "one JSON list of objects")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ChainError, match=reason):
            load_chains(path)


def test_thinking_tags_around_the_reasoning_are_taken_off(tmp_path: Path) -> None:
    """Tags and the white space beside them are no reasoning; spans keep the characters they mark."""
    text = "<think>\nSo 3 and 4.\n</think>"
    fields = {"id": "a", "question": "?", "reasoning": text, "answer": "7"}
    spans = {"category": [{"start": 11, "end": 12, "label": "number"}], "filler": [{"start": 0, "end": 10}]}
    path = tmp_path / "chains.jsonl"
    path.write_text(json.dumps({**fields, **spans}) + "\n", encoding="utf-8")
    (chain,) = load_chains(path)
    assert chain.reasoning == "So 3 and 4."
    assert [(span.start, span.end) for span in chain.category] == [(3, 4)]
    assert chain.filler == ((0, 2),)


@given(
    texts=st.lists(st.tuples(_TEXT, _VISIBLE, _VISIBLE, st.none() | _TEXT, st.none() | _VISIBLE), max_size=4),
    filler=st.sampled_from([None, (), ((0, 1),)]),
)
@settings(max_examples=50, deadline=None)
def test_saved_chains_come_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[Any], filler: tuple[tuple[int, int], ...] | None
) -> None:
    """What `save_chains` writes is read as the same chains, whatever their texts hold."""
    path = tmp_path_factory.mktemp("saved") / "chains.jsonl"
    spans = (CategorySpan(0, 1, "x"),)
    chains = [
        Chain(str(n), question, reasoning, answer, gold=gold, wrong_answer=wrong, category=spans, filler=filler)
        for n, (question, reasoning, answer, gold, wrong) in enumerate(texts)
        if inside_think_tags(reasoning) == (0, len(reasoning))
    ]
    save_chains(chains, path)
    if chains:
        assert [replace(chain, source="") for chain in load_chains(path)] == chains
    else:
        assert path.read_bytes() == b""


def test_what_would_not_come_back_is_not_saved(tmp_path: Path) -> None:
    """Two chains with one id, and a reasoning in thinking tags, are refused by name; no file is made."""
    path = tmp_path / "chains.jsonl"
    chain = demo_chains(1)[0]
    with pytest.raises(ChainError, match=f"{chain.id}.*another of the chains to write has this id"):
        save_chains([chain, chain], path)
    with pytest.raises(ChainError, match="'a': thinking tags stand around the reasoning"):
        save_chains([Chain("a", "?", "<think>So 7.</think>", "7")], path)
    assert not path.exists()
