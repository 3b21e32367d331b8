"""Where a model's name points, and what is said if nothing is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoConfig, AutoTokenizer

from tokimp.errors import ScorerError
from tokimp.models import source as model_source
from tokimp.models.configuration import check_loadable, load_tokenizer, recorded_context_length
from tokimp.models.loading import load_model
from tokimp.models.source import asks_the_hub, check_hub_reach, line, not_loaded
from tokimp.testing.random_models import byte_tokenizer, random_model


def test_the_hub_is_asked_for_what_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub id that was never fetched is looked for; a folder, the embedded model and what is no id are not."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    names = ("nobody/nothing-at-all", "nofolder-of-this-name", "here", "tiny", "no id")
    assert [asks_the_hub(name) for name in names] == [True, True, False, False, False]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert not asks_the_hub("nobody/nothing-at-all")
    with pytest.raises(ScorerError, match="there is no model folder"):
        asks_the_hub("./nowhere")


def test_a_model_that_was_fetched_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hub's client has its configuration, nothing is said of a search."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert asks_the_hub("owner/model")
    (snapshot_of("owner/model", tmp_path) / "config.json").write_text("{}", encoding="utf-8")
    assert not asks_the_hub("owner/model")


def snapshot_of(name: str, cache: Path) -> Path:
    """Return the folder, made here, in which the hub's client keeps what it has fetched of a model."""
    commit, kept = "a" * 40, cache / f"models--{name.replace('/', '--')}"
    (kept / "snapshots" / commit).mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit, encoding="utf-8")
    return kept / "snapshots" / commit


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where configuration and tokenizer of ``owner/model`` are kept, and no weights; the hub is not asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    snapshot = snapshot_of("owner/model", tmp_path)
    random_model("llama").config.save_pretrained(snapshot)
    byte_tokenizer().save_pretrained(snapshot)
    return snapshot


def test_weights_of_a_hub_id_must_have_been_fetched_where_the_hub_is_not_asked(fetched: Path) -> None:
    """Offline, a configuration and a tokenizer that are here are no model; with weights beside them they are."""
    with pytest.raises(ScorerError, match=r"'owner/model', weights .* not among what was fetched.*OFFLINE is set\)"):
        check_loadable("owner/model")
    for kind in ("model-00001-of-00002.safetensors", "pytorch_model.bin"):
        (fetched / kind).write_bytes(b"")
        check_loadable("owner/model")
        (fetched / kind).unlink()
    shutil.copy(fetched / "config.json", fetched / "training_args.bin")
    with pytest.raises(ScorerError, match="not among what was fetched"):
        check_loadable("owner/model")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (["README.md", "pytorch_model.bin"], None),
        (["config.json", "model-00001-of-00002.safetensors"], None),
        (["training_args.bin", "onnx/model.safetensors", "model.gguf"], r"'owner/model' has no weights .*that can be"),
        (httpx.ConnectError("no route"), r"does not say whether it has any: ConnectError: no route$"),
    ],
)
def test_the_hub_is_asked_whether_it_has_weights(
    fetched: Path, answer: list[str] | Exception, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are not here are looked for among the names of the repository's files, without fetching any."""

    class Hub:
        def list_repo_files(self, name: str) -> list[str]:
            assert name == "owner/model"
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(model_source, "HfApi", Hub)
    # That configuration and tokenizer come from here is not what is asked.
    monkeypatch.setattr(model_source, "is_offline_mode", lambda: False)
    before = sorted(fetched.iterdir())
    if said is None:
        check_loadable("owner/model")
    else:
        with pytest.raises(ScorerError, match=said):
            check_loadable("owner/model")
    assert sorted(fetched.iterdir()) == before


@pytest.mark.parametrize("load", [check_loadable, load_tokenizer, recorded_context_length, load_model])
def test_a_hub_that_is_out_of_reach_is_said_once(
    load: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no connection to the hub can be made, its client, which would try for minutes, is not used at all."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(model_source, "hub_is_out_of_reach", lambda: True)
    for kind in (AutoConfig, AutoTokenizer):
        monkeypatch.setattr(kind, "from_pretrained", lambda *_, **__: pytest.fail("the hub's client was used"))
    with pytest.raises(ScorerError, match=r"no model folder or GGUF file 'nosuch/model' here; .*could not be reached"):
        load("nosuch/model")


def test_a_model_that_was_fetched_is_loaded_where_the_hub_is_out_of_reach(
    fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the hub's cache needs no hub, so whether that can be reached is not asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(model_source, "hub_is_out_of_reach", lambda: pytest.fail("the hub was asked"))
    check_hub_reach("owner/model")
    check_hub_reach("tiny")


@pytest.mark.parametrize("offline", [False, True])
def test_that_nothing_is_here_is_said_first(offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing folder is not blamed on the network: that it is missing stands first, and the hub comes after."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    error = OSError("We couldn't connect, see 'docs#offline-mode'.")
    error.__cause__ = LocalEntryNotFoundError("no connection")
    said = str(not_loaded("nofolder", "nofolder", error))
    assert said.startswith("there is no model folder or GGUF file 'nofolder' here; if it is meant as a hub id: ")
    assert ("is not asked" in said) == offline
    assert ("could not be reached" in said) != offline


def test_what_the_hub_has_said_is_told() -> None:
    """An id that the hub refuses is told with the reason, without a full stop of its own."""
    said = str(not_loaded("owner/model", "owner/model", OSError("it is gated.")))
    assert said.endswith("'owner/model' here, and as a hub id it cannot be loaded: OSError: it is gated")


def test_what_a_library_says_is_cut_after_a_word() -> None:
    """A long text ends in an ellipsis after a whole word, one of a single long word within it; nothing else is cut."""
    assert line(OSError("one\ntwo.")) == "OSError: one two"
    assert line(OSError("and so on...")) == "OSError: and so on..."
    cut = line(OSError("tokenizer " * 60)).removeprefix("OSError: ")
    assert cut == ("tokenizer " * 29).rstrip() + "..."
    assert len(line(OSError("x" * 400)).removeprefix("OSError: ")) == 300
