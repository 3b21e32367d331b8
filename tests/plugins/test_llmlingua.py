"""LLMLingua-2 end to end, with token classifiers of random weights: words, rates, offsets, and what is refused."""

from __future__ import annotations

import os
import random
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokimp_llmlingua import LLMLingua, compress
from tokimp_llmlingua.compressor import Compressor, load_compressor
from tokimp_llmlingua.rate import keep_words, search_rate
from tokimp_llmlingua.words import Word, align, token_values
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertTokenizer,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
)

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer

TEXT = "Take 5 from 12. That is 7, so don't stop; 3.5 + 4 = 7.5.\nDone at last - do not \u00bd it."
LONG = " ".join(f"Step {n}: {n} + {n + 1} = {2 * n + 1}, and then we do not stop." for n in range(40))
SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


def save_bert(folder: Path, kind: Any = BertForTokenClassification, labels: int = 2) -> None:
    """Write a small random classifier of BERT's family that does not know the letter z."""
    words = ["Take", "from", "That", "is", "do", "not", "Step", "and", "then"]
    letters = sorted({*TEXT, *LONG} - {" ", "\n"})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{each}" for each in letters), *words]
    ids = {token: index for index, token in enumerate(vocabulary)}
    BertTokenizer(vocab=ids, do_lower_case=False).save_pretrained(folder)
    bert: Any = BertConfig  # num_labels is a property that its signature does not name
    config = bert(**SIZES, vocab_size=len(vocabulary), num_labels=labels, initializer_range=0.5)
    save_model(kind, config, folder)


def save_xlm_roberta(folder: Path) -> None:
    """Write one of XLM-RoBERTa's, with a tokenizer that normalises (NFKC) and marks the beginnings of words."""
    pieces = Tokenizer(models.Unigram())
    pieces.normalizer = normalizers.NFKC()
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token", "cls_token", "sep_token")
    special = dict(zip(names, ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<s>", "</s>"), strict=True))
    unknown: dict[str, Any] = {"unk_token": special["unk_token"]}
    trainer = trainers.UnigramTrainer(vocab_size=110, special_tokens=[*dict.fromkeys(special.values())], **unknown)
    pieces.train_from_iterator([TEXT, LONG] * 5, trainer)
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=pieces, **special)
    tokenizer.save_pretrained(folder)
    config = XLMRobertaConfig(
        **SIZES,
        vocab_size=len(tokenizer),
        max_position_embeddings=514,
        initializer_range=0.5,
        pad_token_id=1,
    )
    save_model(XLMRobertaForTokenClassification, config, folder)


def save_model(kind: Any, config: Any, folder: Path) -> None:
    """Write random weights, from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(config).save_pretrained(folder)


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with a classifier; its name says nothing of the family."""
    where: Path = tmp_path_factory.mktemp("classifier")
    (save_bert if request.param == "bert" else save_xlm_roberta)(where)
    return str(where)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def chain(text: str, unit: str = "token", name: str = "c") -> TokenizedChain:
    """Return a chain whose tokens are bytes, which neither classifier's are."""
    return tokenize_chain(Chain(name, "12 - 5?", text, "7"), byte_tokenizer(), "plain", unit)


def published(compressor: Compressor, text: str, rate: float) -> list[tuple[str, str]]:
    """Return LLMLingua's own words and labels at a rate."""
    options = {"return_word_label": True, "word_sep": "\x1e", "label_sep": "\x1f"}
    found = compressor.compress_prompt([text], rate=rate, **options)["fn_labeled_original_prompt"]
    return [(word, label) for word, label in (entry.split("\x1f") for entry in found.split("\x1e"))]


@pytest.mark.parametrize("text", [TEXT, LONG], ids=["one chunk", "several chunks"])
def test_words_are_kept_as_llmlingua_keeps_them(folder: str, text: str) -> None:
    """At every rate the same words, with the same labels, as the package's own compression of the text."""
    compressor = load_compressor(folder, "cpu")
    chunks = compressor.classify(text)
    assert (len(chunks) > 1) == (text is LONG)
    spelled = [word.text for chunk in chunks for word in chunk]
    numbers = set()
    for rate in (0.99, 0.9, 0.71, 0.5, 0.42, 0.1, 0.02):
        kept = keep_words(chunks, rate)
        words, labels = zip(*published(compressor, text, rate), strict=True)
        assert [word.replace("\u2581", "") for word in words] == spelled
        assert [label == "1" for label in labels] == kept
        numbers.add(sum(kept))
    assert len(numbers) > 3


def test_every_word_lies_where_it_is_spelled(folder: str) -> None:
    """A word's spans cover its own characters of the text, but for what the tokenizer normalises."""
    words = [word for chunk in load_compressor(folder, "cpu").classify(TEXT) for word in chunk]
    for word in words:
        places = sorted({place for start, end in word.spans for place in range(start, end)})
        covered = "".join(TEXT[place] for place in places).replace(" ", "")
        assert unicodedata.normalize("NFKC", covered).strip() in {word.text, unicodedata.normalize("NFKC", word.text)}
    found = {place for word in words for start, end in word.spans for place in range(start, end)}
    assert found >= {place for place, character in enumerate(TEXT) if not character.isspace()}


def test_scores_are_probabilities_of_words_at_their_characters(folder: str) -> None:
    """A token has its word's probability, the mean of the classifier's own softmax over the word's tokens."""
    text = "Take 5 from 12."
    compressor, subject = load_compressor(folder, "cpu"), chain(text)
    marks = compressor.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])  # for XLM-RoBERTa both are unknown
    whole = compressor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    with torch.no_grad():
        logits = compressor.model(torch.tensor([[marks[0], *whole["input_ids"], marks[1]]])).logits[0, 1:-1]
    kept = logits.softmax(dim=-1)[:, 1].double().numpy()
    scores = LLMLingua(folder).estimate(subject, AdditiveScorer(), Joint()).scores
    for word in ("Take", "5", "from", "12"):
        begin = text.index(word)
        # XLM-RoBERTa's mark of a word that begins may be a token of its own, before the word.
        own = [
            index
            for index, (piece, (start, end)) in enumerate(zip(whole.tokens(), whole["offset_mapping"], strict=True))
            if start < begin + len(word) and (end > begin or (piece == "\u2581" and end == begin))
        ]
        np.testing.assert_allclose(scores[begin : begin + len(word)], kept[own].mean(), atol=1e-5)


@pytest.mark.parametrize("unit", ["word", "sentence"])
def test_units_have_the_mean_of_their_tokens(folder: str, unit: str) -> None:
    """A longer unit is not the more important for being long."""
    per_token = LLMLingua(folder).estimate(chain(TEXT), AdditiveScorer(), Joint()).scores
    subject = chain(TEXT, unit)
    expected = [per_token[list(tokens)].mean() for tokens in subject.units]
    np.testing.assert_allclose(LLMLingua(folder).estimate(subject, AdditiveScorer(), Joint()).scores, expected)


def test_what_the_classifier_does_not_know_is_never_kept(folder: str) -> None:
    """Characters outside the classifier's vocabulary score 0, also where they are all there is."""
    subject = chain("Take zz 5")
    scores = LLMLingua(folder).estimate(subject, AdditiveScorer(), Joint()).scores
    if load_compressor(folder, "cpu").model_name.startswith("bert"):
        assert scores[5:7].tolist() == [0, 0]
        assert LLMLingua(folder).estimate(chain("zz"), AdditiveScorer(), Joint()).scores.tolist() == [0, 0]
    assert (scores[[0, 8]] > 0).all()


@pytest.mark.parametrize("keep_ratio", [0.9, 0.7, 0.5, 0.2])
def test_the_rate_found_is_the_best_of_all(folder: str, keep_ratio: float) -> None:
    """Of the hundred rates that LLMLingua-2 tells apart, none brings the mean kept share nearer to the keep ratio."""
    chains = [chain(TEXT, name="short"), chain(LONG, name="long")]
    found = compress(chains, keep_ratio, folder)
    compressor = load_compressor(folder, "cpu")
    words = [compressor.classify(each.chain.reasoning) for each in chains]
    distances = []
    for rate in (0, *np.arange(0.005, 1, 0.01), 1):
        shares = []
        for subject, chunks in zip(chains, words, strict=True):
            kept = [float(keep) for keep in keep_words(chunks, float(rate))]
            flat = [word for chunk in chunks for word in chunk]
            shares.append(1.0 if rate == 1 else float((token_values(subject, flat, kept) > 0).mean()))
        distances.append(abs(np.mean(shares) - keep_ratio))
    assert abs(found.share - keep_ratio) == pytest.approx(min(distances), abs=1e-12)
    assert found.share == pytest.approx(np.mean([kept.mean() for kept in found.kept]))


def test_a_keep_ratio_puts_what_is_kept_above_the_rest(folder: str) -> None:
    """With a keep ratio, tokens that LLMLingua-2 keeps rank above all others; rate and share are told."""
    subject = chain(LONG)
    found = LLMLingua(folder, keep_ratio=0.6).estimate(subject, AdditiveScorer(), Joint())
    (kept,) = compress([subject], 0.6, folder).kept
    assert found.scores[kept].min() > 1 >= found.scores[~kept].max()
    assert found.diagnostics["kept_share"] == pytest.approx(kept.mean())
    assert abs(kept.mean() - 0.6) < 0.05
    everything = LLMLingua(folder, keep_ratio=1.0).estimate(subject, AdditiveScorer(), Joint())
    assert everything.diagnostics == {"rate": 1.0, "kept_share": 1.0}


@given(st.lists(st.sampled_from([0.1, 0.5, 0.9, 1.0]), min_size=1, max_size=8), st.floats(0.01, 1))
def test_the_kept_share_never_shrinks_as_the_rate_grows(values: list[float], rate: float) -> None:
    """Words kept at a rate are kept at every higher one; the search relies on it."""
    words = [Word(str(index), value, 1, ((index, index + 1),)) for index, value in enumerate(values)]
    low, high = (keep_words([words], each) for each in (rate / 2, rate))
    assert all(above or not below for below, above in zip(low, high, strict=True))
    found = search_rate([toy_chain("a" * len(values))], [[words]], rate)
    assert 0 <= found.share <= 1


def test_tokens_take_the_values_of_words_they_share_a_visible_character_with() -> None:
    """The highest of several words, 0 without any; whitespace goes with what follows, and at the end with the last."""
    text = "ab cd  "
    offsets = ((0, 1), (1, 4), (4, 5), (5, 6), (6, 7))
    chain_of_five = TokenizedChain(Chain("c", "q", text, "a"), (1,), (1, 2, 3, 4, 5), (1,), offsets, ((0, 1, 2, 3, 4),))
    words = [Word("ab", 0.25, 1, ((0, 2),)), Word("c", 0.75, 1, ((3, 4),))]
    assert token_values(chain_of_five, words, [0.25, 0.75]).tolist() == [0.25, 0.75, 0, 0, 0]
    assert token_values(toy_chain(" a"), [Word("a", 0.5, 1, ((1, 2),))], [0.5]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["ab", "cd"], [((0, 2),), ((3, 5),)]),
        (["a", "bcd"], [((0, 2),), ((0, 2), (3, 5))]),
        (["ab", "x", "d"], [((0, 2),), (), ((3, 5),)]),
        ([], []),
    ],
)
def test_tokens_are_aligned_by_what_they_spell(found: list[str], expected: list[Any]) -> None:
    """Tokens cut otherwise, or changed, are found at the tokens of the text with which they share characters."""
    assert align(found, ["ab", "cd"], [(0, 2), (3, 5)]) == expected


def state_of_the_process() -> list[object]:
    """Return what loading could change: the states of all generators, and the switches that go with a seed."""
    numpy = repr(np.random.get_state())  # noqa: NPY002 - the generator that LLMLingua seeds
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    return [random.getstate(), numpy, torch.random.get_rng_state().tolist(), cudnn, os.environ.get("PYTHONHASHSEED")]


def test_loading_leaves_the_process_as_it_was(folder: str) -> None:
    """LLMLingua seeds every generator when it is built; here the generators go on as if nothing had happened."""
    load_compressor.cache_clear()
    before = state_of_the_process()
    load_compressor(folder, "cpu")
    assert state_of_the_process() == before


def test_the_error_for_missing_weights_says_what_to_fetch(folder: str, tmp_path: Path) -> None:
    """A hub id that is not here, an empty folder and one without weights name the model and the command to fetch it."""
    fetch = r"hf download microsoft/llmlingua-2-xlm-roberta-large-meetingbank --local-dir FOLDER"
    with pytest.raises(EstimatorError, match=fetch):
        LLMLingua().validate_parameters()
    with pytest.raises(EstimatorError, match=fetch):
        LLMLingua(str(tmp_path)).validate_parameters()
    partly = tmp_path / "partly"
    shutil.copytree(folder, partly, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(EstimatorError, match=fetch):
        LLMLingua(str(partly)).estimate(chain("a"), AdditiveScorer(), Joint())


def test_other_models_are_refused(tmp_path: Path) -> None:
    """A model without a classifier of two labels is named as what it is, before it is loaded."""
    for name, kind, labels in (("masked", BertForMaskedLM, 2), ("three", BertForTokenClassification, 3)):
        (tmp_path / name).mkdir()
        save_bert(tmp_path / name, kind, labels)
    with pytest.raises(EstimatorError, match=r"holds BertForMaskedLM \(bert\); LLMLingua-2 is a token classifier"):
        LLMLingua(str(tmp_path / "masked")).validate_parameters()
    with pytest.raises(EstimatorError, match="has 3 labels; LLMLingua-2 has two"):
        LLMLingua(str(tmp_path / "three")).validate_parameters()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error says which extra to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EstimatorError, match=r"install tokimp\[llmlingua\]"):
        LLMLingua("nowhere").validate_parameters()


@pytest.mark.parametrize(
    "parameters", [{"keep_ratio": 0}, {"keep_ratio": 1.5}, {"keep_ratio": True}, {"model": ""}, {"model": 3}]
)
def test_parameters_that_are_not_allowed(parameters: dict[str, Any]) -> None:
    """A value that is not allowed is refused by its parameter's name."""
    with pytest.raises(EstimatorError, match=f"llmlingua: {next(iter(parameters))}=.* is not allowed; give"):
        LLMLingua(**parameters).validate_parameters()


def test_no_chains_cannot_be_compressed() -> None:
    """Compressing nothing is an error."""
    with pytest.raises(EstimatorError, match="no chains"):
        compress([], 0.5)


@pytest.mark.parametrize("keep_ratio", [None, 0.5])
def test_it_keeps_the_contract(folder: str, keep_ratio: float | None) -> None:
    """LLMLingua passes the check that every estimator must pass, and asks the scorer for nothing."""
    check_estimator(LLMLingua(folder, keep_ratio))
    assert LLMLingua.requires == frozenset()
