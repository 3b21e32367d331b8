"""GGUF files, converted once and kept."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.models.gguf_file import write_gguf
from tokimp.models import converted_gguf
from tokimp.models.configuration import check_loadable, load_tokenizer
from tokimp.models.converted_gguf import converted_weights, is_converted, kept_bytes
from tokimp.models.loading import load_scorer
from tokimp.testing.reference import random_chain

CHAIN = random_chain(4, 8, 2)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small GGUF file."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "small.gguf")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the empty cache folder of this test."""
    monkeypatch.setenv("TOKIMP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files whose weights were unpacked so far, as the test goes on."""
    files: list[Path] = []
    unpack = converted_gguf._unpacked

    def watched(file: Path, precision: torch.dtype | None) -> Any:
        files.append(file)
        return unpack(file, precision)

    monkeypatch.setattr(converted_gguf, "_unpacked", watched)
    return files


def reasoning(model: Path) -> Any:
    """Return the log-probabilities of a chain's reasoning."""
    return load_scorer(model, "nnsight", device="cpu").logprobs([CHAIN])[0].reasoning


def test_a_file_is_unpacked_once_and_gives_what_transformers_gives(
    gguf: Path, cache: Path, unpacked: list[Path]
) -> None:
    """The numbers, the fingerprint and the tokenizer are those of transformers' own loading; a second time is read."""
    scorers = [load_scorer(gguf, "nnsight", device="cpu") for _ in range(2)]
    auto: Any = transformers.AutoModelForCausalLM
    direct = auto.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=transformers.GgufConfig(dequantize=True)
    )
    own = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    scorers.append(load_scorer(direct, "nnsight", device="cpu", tokenizer=own))
    numbers = [scorer.logprobs([CHAIN])[0].reasoning for scorer in scorers]
    np.testing.assert_array_equal(numbers[0], numbers[2])
    np.testing.assert_array_equal(numbers[1], numbers[2])
    assert len({scorer.fingerprint() for scorer in scorers}) == 1
    assert unpacked == [gguf]
    text = "Add 2 and 3, Zoë."
    ids = [scorer.tokenizer(text)["input_ids"] for scorer in scorers]
    assert ids[0] == ids[1] == ids[2]
    assert kept_bytes() == sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())


def test_the_tokenizer_alone_needs_no_weights(gguf: Path, cache: Path, unpacked: list[Path]) -> None:
    """Checks and tokenizers convert the texts of a file only."""
    check_loadable(str(gguf))
    assert len(load_tokenizer(str(gguf))) == 261
    assert unpacked == []
    assert is_converted(gguf)
    assert cache.is_dir()


def test_a_precision_and_another_content_have_weights_of_their_own(
    gguf: Path, cache: Path, unpacked: list[Path], tmp_path: Path
) -> None:
    """What is kept is known by the content of the file, not by its name, and by the precision."""
    copy, other = tmp_path / "copy.gguf", write_gguf(tmp_path / "small.gguf", seed=1)
    shutil.copy(gguf, copy)
    first = reasoning(gguf)
    np.testing.assert_array_equal(reasoning(copy), first)
    assert not np.array_equal(reasoning(other), first)
    assert load_scorer(gguf, "nnsight", device="cpu", dtype="bfloat16").dtype == "bfloat16"
    assert unpacked == [gguf, other, gguf]
    assert cache.is_dir()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "checks.json"])
@pytest.mark.parametrize("damage", [b"", None])
def test_what_is_damaged_is_made_anew(
    gguf: Path, cache: Path, unpacked: list[Path], name: str, damage: bytes | None
) -> None:
    """A file that is cut off, or missing, is noticed when it is read, and the conversion is done again."""
    expected = reasoning(gguf)
    (file,) = cache.glob(f"gguf/*/float32/{name}")
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    np.testing.assert_array_equal(reasoning(gguf), expected)
    assert len(unpacked) == 2


def test_a_changed_byte_is_noticed(gguf: Path, cache: Path, unpacked: list[Path]) -> None:
    """Weights of the right length with other numbers in them are not used."""
    expected = reasoning(gguf)
    (file,) = cache.glob("gguf/*/float32/model.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    np.testing.assert_array_equal(reasoning(gguf), expected)
    assert len(unpacked) == 2


def test_whoever_comes_second_waits_for_the_first(gguf: Path, cache: Path, unpacked: list[Path]) -> None:
    """Two that ask at once get the same folder, which was made once."""
    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(converted_weights(gguf, torch.float32))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == len(unpacked) == 1
    assert folders[0].is_relative_to(cache)


def test_where_nothing_can_be_kept_the_file_is_read_all_the_same(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder that cannot be made is a warning that names the remedy, and the numbers are the same."""
    monkeypatch.setenv("TOKIMP_CACHE", str(tmp_path / "cache"))
    expected = reasoning(gguf)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("TOKIMP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match=r"cannot be kept, and is made anew each time.*TOKIMP_CACHE"):
        np.testing.assert_array_equal(reasoning(gguf), expected)
