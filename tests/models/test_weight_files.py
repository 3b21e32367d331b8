"""How large weights are, and how many numbers they hold, from their files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tokimp.errors import ScorerError
from tokimp.models.loading import load_model
from tokimp.models.weight_files import bytes_of_weights, numbers_in_weights


def test_numbers_are_those_of_the_loaded_model() -> None:
    """The files of the embedded model hold as many numbers as the model that is made of them."""
    model = load_model("tiny", device="cpu").model
    assert numbers_in_weights("tiny") == sum(weights.numel() for weights in model.parameters())


def test_bytes_are_those_on_disk_and_other_formats_do_not_say_their_numbers(tmp_path: Path) -> None:
    """Files that torch wrote have a size, and are not opened to count what is in them."""
    torch.save({"weight": torch.zeros(1000)}, tmp_path / "pytorch_model.bin")
    assert bytes_of_weights(str(tmp_path)) == (tmp_path / "pytorch_model.bin").stat().st_size
    assert numbers_in_weights(str(tmp_path)) is None


def test_damaged_files_do_not_say_their_numbers(tmp_path: Path) -> None:
    """What is no safetensors file has a size all the same."""
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    assert bytes_of_weights(str(tmp_path)) == 7
    assert numbers_in_weights(str(tmp_path)) is None


def test_weights_in_parts_are_those_of_the_index_and_all_or_none(tmp_path: Path) -> None:
    """The same weights for another library do not count; a download that was cut short is no model that is here."""
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {"weight_map": dict(zip("abc", [names[0], *names], strict=True))}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (tmp_path / "consolidated.safetensors").write_bytes(bytes(1000))
    (tmp_path / names[0]).write_bytes(bytes(10))
    assert bytes_of_weights(str(tmp_path)) is None
    (tmp_path / names[1]).write_bytes(bytes(5))
    assert bytes_of_weights(str(tmp_path)) == 15
    (tmp_path / "model.safetensors.index.json").write_text("{", encoding="utf-8")
    assert bytes_of_weights(str(tmp_path)) is None


@pytest.mark.parametrize("name", ["owner/never-fetched", "no hub id at all"])
def test_weights_that_are_not_here_have_no_size(name: str) -> None:
    """Nothing is fetched in order to know."""
    assert bytes_of_weights(name) is None
    assert numbers_in_weights(name) is None


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A path is no hub id."""
    with pytest.raises(ScorerError, match="no model folder"):
        bytes_of_weights(str(tmp_path / "missing"))
