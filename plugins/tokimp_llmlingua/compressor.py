"""LLMLingua's compressor without its download, and the probability that it gives each word."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from llmlingua import PromptCompressor
from llmlingua.utils import TokenClfDataset, is_begin_of_new_word

from tokimp_llmlingua.words import Word, align

# LLMLingua tells the two families it knows apart by these names, which it looks for in the path.
FAMILIES = {"xlm-roberta": "xlm-roberta-large", "bert": "bert-base-multilingual-cased"}
_CHUNK_ENDS = (".", "\n")  # its own default: a chunk of 510 tokens ends at the last of these, if there is one

_Classified = tuple[str, float, tuple[tuple[int, int], ...]]  # a token, its probability to be kept, where it lies


class WordCounter:
    """Counts the tokens of a word by the classifier's own tokenizer.

    It replaces GPT-3.5's tokenizer, which LLMLingua downloads to weigh words when it turns a rate into a threshold. A
    different tokenizer moves the rate that gives a certain share; that does no harm, since the rate is searched for.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[str]:
        """Return the tokens of a text, at least one."""
        tokens: list[str] = self._tokenizer.tokenize(text.replace("▁", " ").strip())
        return tokens or [text]


class Compressor(PromptCompressor):  # type: ignore[misc] # llmlingua has no types
    """`llmlingua.PromptCompressor` for LLMLingua-2, from a folder of any name, offline.

    Parameters
    ----------
    model
        A folder or hub id with a token classifier of one of the `FAMILIES`.
    device
        The device, as torch names it.
    """

    # The original's __init__ is not called: it downloads GPT-3.5's tokenizer. What it sets is set here.
    def __init__(self, model: str, device: str) -> None:
        self.use_llmlingua2 = True
        with _generators_as_they_were():
            # A repository's own code is never run.
            self.load_model(model, device, {"trust_remote_code": False})
            self.model_name = FAMILIES[self.model.config.model_type]
            self.oai_tokenizer = WordCounter(self.tokenizer)
            self.init_llmlingua2()
        self.model.eval()

    def classify(self, text: str) -> list[list[Word]]:
        """Return the words of each chunk of a text, with the probability of each to be kept.

        Characters that the tokenizer does not know are in no word: LLMLingua-2 never keeps them.
        """
        whole = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spelled = [self._spell(token) for token in whole.tokens()]
        chunks = [list(chunk) for chunk in self._classified_chunks(text)]
        spans = iter(
            align([self._spell(token) for chunk in chunks for token, _ in chunk], spelled, whole["offset_mapping"])
        )
        return [self._words([(token, value, next(spans)) for token, value in chunk]) for chunk in chunks]

    def _classified_chunks(self, text: str) -> Iterator[list[tuple[str, float]]]:
        """Yield each chunk's tokens, each with its probability to be kept, as `compress_prompt` computes it."""
        chunks = self._PromptCompressor__chunk_context(text, chunk_end_tokens=set(_CHUNK_ENDS))
        # The family is not passed on, as in LLMLingua: an XLM-RoBERTa reads <unk> for the marks of begin and end.
        data = TokenClfDataset(chunks, tokenizer=self.tokenizer, max_len=self.max_seq_len)
        for index in range(len(chunks)):
            ids, mask = data[index]["ids"], data[index]["mask"]
            with torch.no_grad():
                logits = self.model(ids[None].to(self.device), attention_mask=mask[None].to(self.device)).logits
            kept = logits[0].float().softmax(dim=-1)[:, 1].cpu()
            tokens = self.tokenizer.convert_ids_to_tokens(ids[mask == 1].tolist())
            # The first and the last token mark begin and end.
            yield list(zip(tokens, kept[mask == 1].tolist(), strict=True))[1:-1]

    def _words(self, tokens: list[_Classified]) -> list[Word]:
        groups: list[list[_Classified]] = []
        for entry in tokens:
            if entry[0] in self.special_tokens:
                continue
            if not groups or is_begin_of_new_word(entry[0], self.model_name, [], {}):
                groups.append([])
            groups[-1].append(entry)
        return [self._word(group) for group in groups]

    def _word(self, tokens: list[_Classified]) -> Word:
        text = "".join(self._spell(token) for token, _, _ in tokens)
        probability = sum(value for _, value, _ in tokens) / len(tokens)
        spans = tuple(span for _, _, covered in tokens for span in covered)
        return Word(text, probability, len(self.oai_tokenizer.encode(text)), spans)

    def _spell(self, token: str) -> str:
        """Return the spelling of a token without marks of where words begin; a single character if it is not known."""
        if token in self.special_tokens:
            return "\N{REPLACEMENT CHARACTER}"
        return token.removeprefix("##") if self.model_name == FAMILIES["bert"] else token.replace("▁", "")


@lru_cache(maxsize=1)
def load_compressor(model: str, device: str) -> Compressor:
    """Return the compressor of a model on a device; the last one is kept in memory."""
    return Compressor(model, device)


@contextlib.contextmanager
def _generators_as_they_were() -> Iterator[None]:
    """Restore the state of the process after loading: LLMLingua seeds every generator with 42."""
    python, legacy, hash_seed = random.getstate(), np.random.get_state(), os.environ.get("PYTHONHASHSEED")  # noqa: NPY002 - the generator it seeds
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002 - as above
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
            if hash_seed is None:
                os.environ.pop("PYTHONHASHSEED", None)
            else:
                os.environ["PYTHONHASHSEED"] = hash_seed
