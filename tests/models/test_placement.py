"""Models that are spread over devices, or partly on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers.cache_utils import DynamicCache

from tokimp.contracts.objective import Joint
from tokimp.errors import ScorerError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.deletion.key_value_pool import KeyValuePool
from tokimp.models.loading import load_model, load_scorer
from tokimp.models.placement import computing_devices, input_device, main_device, read_device_map
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

CHAIN = random_chain(4, 8, 2)
WHOLE, CANDIDATES = tuple(range(8)), [(place,) for place in range(8)]
# The embeddings are tied to the projection in the second architecture, and both are on disk.
ON_DISK = {
    "llama": {
        "model.embed_tokens": "disk",
        "model.layers.0": "cpu",
        "model.layers.1": "disk",
        "model.layers.2": "cpu",
        "model.norm": "cpu",
        "model.rotary_emb": "cpu",
        "lm_head": "disk",
    },
    "gpt2": {"transformer": "disk", "lm_head": "disk"},
}


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def architecture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return the name of an architecture, and a folder with a model of it in half precision."""
    path = tmp_path_factory.mktemp("spread") / request.param
    random_model(request.param).half().save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return request.param, path


def numbers(scorer: Any) -> list[Any]:
    """Return numbers of every kind that a scorer gives, in a fixed order."""
    logprobs, scores = scorer.logprobs([CHAIN])[0], scorer.score_deletions(CHAIN, WHOLE, CANDIDATES, Joint())
    attention = np.asarray(scorer.attention(CHAIN, weights="pattern"))
    gradients = scorer.embedding_gradients(CHAIN, Joint())
    knocked = scorer.score_knockouts(CHAIN, [(1,), (2, 3)], Joint())
    written = scorer.generate([[3, 4, 5]], max_new_tokens=4)
    return [logprobs.reasoning, logprobs.answer, scores.objective, attention, *gradients, knocked, written]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_offloaded_weights_give_the_same_bits(
    architecture: tuple[str, Path], backend: str, packed: bool, tmp_path: Path
) -> None:
    """With layers on disk, every number is that of the whole model to the bit, and the model is known as the same."""
    name, folder = architecture
    whole = load_scorer(folder, backend, device="cpu", packed=packed)
    spread = load_scorer(folder, backend, device_map=ON_DISK[name], offload_folder=tmp_path, packed=packed)
    assert any(parameter.is_meta for parameter in spread.model.parameters())  # type: ignore[attr-defined] # both have models
    assert (spread.device, spread.dtype, spread.capabilities) == ("cpu", "float32", whole.capabilities)
    for found, expected in zip(numbers(spread), numbers(whole), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert spread.fingerprint() == whole.fingerprint()
    assert spread.loading == {"device_map": ON_DISK[name]}
    assert whole.loading == {}


def test_a_hook_on_an_offloaded_layer_reaches_every_number(architecture: tuple[str, Path], tmp_path: Path) -> None:
    """A change of a module whose weights are on disk gives the numbers, and the fingerprint, of the same change."""
    name, folder = architecture
    scorers = [
        load_scorer(folder, "nnsight", device="cpu"),
        load_scorer(folder, "nnsight", device_map=ON_DISK[name], offload_folder=tmp_path),
    ]
    before = [scorer.fingerprint() for scorer in scorers]
    found = []
    for scorer in scorers:
        assert isinstance(scorer, CausalLMScorer)
        scorer.model.get_decoder().get_submodule(
            "layers.1.mlp" if name == "llama" else "h.1.mlp"
        ).register_forward_hook(_halved)
        found.append((scorer.logprobs([CHAIN])[0].reasoning.tolist(), scorer.fingerprint()))
    assert found[0] == found[1]
    assert found[0][1] not in before


def _halved(module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor:
    return output * 0.5


def test_an_object_that_accelerate_has_spread_is_scored_where_it_is(
    architecture: tuple[str, Path], tmp_path: Path
) -> None:
    """A model object with offloaded layers gives the numbers of the whole model; it cannot be moved or converted."""
    name, folder = architecture
    auto: Any = transformers.AutoModelForCausalLM
    model = auto.from_pretrained(folder, dtype=torch.float32, device_map=ON_DISK[name], offload_folder=str(tmp_path))
    spread = load_scorer(model, "nnsight", tokenizer=byte_tokenizer())
    whole = load_scorer(folder, "nnsight", device="cpu")
    np.testing.assert_array_equal(spread.logprobs([CHAIN])[0].reasoning, whole.logprobs([CHAIN])[0].reasoning)
    with pytest.raises(ScorerError, match="leave device and dtype at 'auto'"):
        load_scorer(model, "nnsight", tokenizer=byte_tokenizer(), dtype="bfloat16")


@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}, '{"": "cpu"}'])
def test_a_map_to_one_place_is_that_place(architecture: tuple[str, Path], device_map: Any) -> None:
    """A map that puts everything on the CPU gives the numbers of the CPU; a strategy finds that by itself here."""
    _, folder = architecture
    mapped, whole = load_scorer(folder, "nnsight", device_map=device_map), load_scorer(folder, "nnsight", device="cpu")
    np.testing.assert_array_equal(mapped.logprobs([CHAIN])[0].reasoning, whole.logprobs([CHAIN])[0].reasoning)
    assert mapped.loading == {"device_map": "auto" if device_map == "auto" else {"": "cpu"}}


def test_weights_go_straight_to_a_gpu(architecture: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a pretended GPU, transformers is told the device when it reads the file; on a CPU it is told nothing."""
    _, folder = architecture
    asked: list[Any] = []
    read = transformers.AutoModelForCausalLM.from_pretrained

    def watched(*values: Any, device_map: Any = None, **named: Any) -> Any:
        asked.append(device_map)
        return read(*values, **named)

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", watched)
    load_model(folder, device="cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    load_model(folder, device="cuda", dtype="float32")
    assert asked == [None, {"": "cuda"}]


def test_keys_and_values_stay_on_the_device_of_their_layer() -> None:
    """With the second layer on another device, its keys and values are written and read there."""
    cache = DynamicCache()
    for layer, device in enumerate(("cpu", "meta")):
        states = torch.zeros(2, 1, 4, 3, device=device)
        cache.update(states, states, layer)
    pool, places = KeyValuePool(), np.arange(4)
    slots = pool.allocate(4)
    pool.write(slots, cache, np.zeros(4, dtype=np.int64), places)
    layers: Any = pool.gather(slots[None], room=1).layers
    assert [str(layer.keys.device) for layer in layers] == ["cpu", "meta"]


def test_a_device_map_is_read_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy, a mapping, JSON and a JSON file; numbers are GPUs, and the first GPU takes the inputs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    wanted: dict[str, int | str] = {"model.layers.0": 1, "model.layers.1": "cpu", "": "disk"}
    text = '{"model.layers.0": 1, "model.layers.1": "cpu", "": "disk"}'
    (tmp_path / "map.json").write_text(text, encoding="utf-8")
    assert read_device_map("balanced") == "balanced"
    assert read_device_map(wanted) == read_device_map(text) == read_device_map(tmp_path / "map.json") == wanted
    assert (main_device(wanted), main_device("auto"), main_device({"": "disk"})) == ("cuda:1", "cuda:0", "cpu")


@pytest.mark.parametrize(
    ("device_map", "said"),
    [
        ("everywhere", r"no device map 'everywhere'.*write auto, balanced"),
        ("{", "is not JSON"),
        ({}, "maps no modules"),
        ({"": "gpu"}, "no device 'gpu'"),
        ({"": 0}, "torch finds none here"),
    ],
)
def test_a_device_map_that_cannot_be_followed_is_refused(device_map: Any, said: str) -> None:
    """What is no map, or names a device that is not here, is refused before anything is loaded."""
    with pytest.raises(ScorerError, match=said):
        load_model("no-such-folder/model", device_map=device_map)


def test_what_contradicts_a_device_map_is_refused() -> None:
    """A device beside a map, and a map for an object that is loaded already, are refused with what to do."""
    with pytest.raises(ScorerError, match="leave one out"):
        load_model("tiny", device="cpu", device_map="auto")
    with pytest.raises(ScorerError, match="give its name or folder"):
        load_scorer(random_model("llama"), "nnsight", tokenizer=byte_tokenizer(), device_map="auto")


def test_a_model_in_one_piece_computes_where_its_weights_are() -> None:
    """Without accelerate, ids go to the embeddings, and all layers compute on one device."""
    model = random_model("llama")
    assert (str(input_device(model)), computing_devices(model)) == ("cpu", {"cpu"})
