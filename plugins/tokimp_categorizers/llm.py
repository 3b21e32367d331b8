"""The categorizer ``llm``: categories from a language model, asked over HTTP or run here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tokimp.analysis.recorded_run import known_fingerprint
from tokimp.chains.chain import CategorySpan, Chain
from tokimp.chains.chat_template import template_source
from tokimp.contracts.categorizer import Categorizer
from tokimp.contracts.constraints import Number, Optional, Text, TrueOrFalse, WholeNumber
from tokimp.contracts.scorer import Scorer
from tokimp.errors import CategorizerError, TokimpError
from tokimp.models.loading import load_scorer
from tokimp.storage.cache_folder import cache_folder
from tokimp_categorizers.llm_cache import LabelCache
from tokimp_categorizers.llm_endpoint import KEY_VARIABLE, Endpoint
from tokimp_categorizers.llm_local import LocalModel
from tokimp_categorizers.llm_prompt import AnswerError, Message, correction, messages, read_labels
from tokimp_categorizers.words import find_words

_AROUND = 400  # characters shown on both sides of the passage
_TOKENS_A_WORD = 20  # a number, a category and their signs are fewer


class LLMCategorizer(Categorizer):
    """Asks a language model for the category of each number, word and sign of the reasoning.

    The model is told the six categories of Singh and Hakkani-Tuer (2026) and ``other``, each with a definition, and a
    worked example. One passage of the reasoning is sent at a time as JSON, with the question and the text around it;
    all of this is data to the model. The answer must be one JSON object with a category for each numbered word, every
    word exactly once. An answer that is not is refused; the model is told why and asked again.

    Answers are kept on disk under who was asked and what, so that no passage is asked about twice. The model of a
    server is identified by its name and the server's address alone. A model that is run here is always loaded, and
    identified by its fingerprint, backend and chat template; a model without a fingerprint is asked every time. Nothing
    is sent before `categorize` is called. Chains are sent as they are, so mind who runs the server.

    Parameters
    ----------
    model
        Name of the model on the server; without `url`, a model to run here: hub id, folder or GGUF file.
    url
        Address of an OpenAI-compatible server, without ``/chat/completions``: ``http://127.0.0.1:8000/v1``.
    key_variable
        Environment variable that holds the server's key; ``TOKIMP_LLM_KEY`` need not be set.
    words
        The most words of a passage.
    retries
        How often an answer that does not fit, or a request that failed for the moment, is tried again.
    timeout
        Seconds to wait for a connection, and for each reply of the server.
    wait
        Seconds before a failed request is sent again, doubled each time.
    temperature, json_mode
        Settings of the request. ``temperature=null`` and ``json_mode=false`` leave them out, for servers that do not
        know them.
    cache
        Folder of the answers; if empty, ``llm-categorizer`` in ``$TOKIMP_CACHE``, or else in the user's cache folder.
    backend
        Scorer plugin that runs a model here.
    scorer
        In Python, a model that is loaded already.

    Examples
    --------
    On the command line, quoted so that its commas stay with it::

        tokimp analyze RUN 'structure:categorizer="llm:model=my-model,url=http://127.0.0.1:8000/v1"'
    """

    name: ClassVar[str] = "llm"
    constraints = {
        "model": Text("the name of a model", may_be_empty=True),
        "url": Text("a server's address", may_be_empty=True),
        "key_variable": Text("the name of an environment variable"),
        "words": WholeNumber(1),
        "retries": WholeNumber(0),
        "timeout": Number(0),
        "wait": Number(0),
        "temperature": Optional(Number(0)),
        "json_mode": TrueOrFalse(),
        "cache": Text("a folder", may_be_empty=True),
        "backend": Text("the name of a scorer"),
    }

    def __init__(
        self,
        model: str = "",
        url: str = "",
        *,
        key_variable: str = KEY_VARIABLE,
        words: int = 60,
        retries: int = 3,
        timeout: float = 120.0,
        wait: float = 1.0,
        temperature: float | None = 0.0,
        json_mode: bool = True,
        cache: str = "",
        backend: str = "transformer_lens",
        scorer: Scorer | None = None,
    ) -> None:
        self.model = model
        self.url = url
        self.key_variable = key_variable
        self.words = words
        self.retries = retries
        self.timeout = timeout
        self.wait = wait
        self.temperature = temperature
        self.json_mode = json_mode
        self.cache = cache
        self.backend = backend
        self.scorer = scorer
        self._local: LocalModel | None = None

    def validate_parameters(self) -> None:
        """Raise `CategorizerError` if there is no model to ask, there are two, or a parameter is not allowed."""
        super().validate_parameters()
        if self.url and self.scorer is not None:
            raise CategorizerError("both a url and a scorer were given; give one of them")
        if not self.model and self.scorer is None:
            raise CategorizerError(
                "it has no model to ask; give llm:model=NAME,url=http://host:port/v1, or model=FOLDER"
            )

    def categorize(self, chain: Chain) -> tuple[CategorySpan, ...]:
        """Return one span for each number, word and sign of the reasoning.

        Raises
        ------
        CategorizerError
            If a parameter is not allowed, the model cannot be asked, or its answers do not fit even when asked again;
            the message names the chain.
        """
        words = list(find_words(chain.reasoning))
        spans: list[CategorySpan] = []
        try:
            self.validate_parameters()
            for begin in range(0, len(words), self.words):
                part = words[begin : begin + self.words]
                labels = self._labels(chain, part)
                spans += [CategorySpan(start, end, label) for (start, end, _), label in zip(part, labels, strict=True)]
        except CategorizerError as error:
            raise CategorizerError(f"{chain.where}: the categorizer 'llm': {error}") from error
        return tuple(spans)

    def _labels(self, chain: Chain, part: Sequence[tuple[int, int, str]]) -> list[str]:
        """Return the labels of some neighbouring words, from the cache or the model."""
        text, first, last = chain.reasoning, part[0][0], part[-1][1]
        asked = messages(
            chain.question,
            text[max(0, first - _AROUND) : first],
            text[first:last],
            text[last : last + _AROUND],
            [word for _, _, word in part],
        )
        described = self._described(asked)
        if described is None:
            return self._ask(asked, len(part))
        cache = LabelCache(Path(self.cache) if self.cache else cache_folder() / "llm-categorizer")
        labels = cache.get(described, len(part))
        if labels is None:
            labels = self._ask(asked, len(part))
            cache.keep(described, labels)
        return labels

    def _ask(self, asked: Sequence[Message], count: int) -> list[str]:
        """Return the model's labels of `count` words; raise `CategorizerError` if its answers go on not fitting."""
        conversation, problem = list(asked), ""
        for _ in range(self.retries + 1):
            answer = ""
            try:
                answer = self._respondent().complete(conversation)
                return read_labels(answer, count)
            except AnswerError as error:
                problem = str(error)
                # Only the last answer is shown with its problem, since a conversation that grows may not fit the model.
                conversation = [*asked, *correction(answer, problem)]
        raise CategorizerError(
            f"{self.model or 'the model'} was asked {self.retries + 1} times for the categories of {count} words, and "
            f"its last answer does not fit: {problem}; use a stronger model, or fewer words at a time (words=20)"
        )

    def _described(self, asked: Sequence[Message]) -> dict[str, Any] | None:
        """Return everything the answer depends on, as JSON can hold it; ``None`` if it is not known who answers."""
        who: dict[str, Any]
        if self.url:
            who = {"url": self.url, "model": self.model, "temperature": self.temperature, "json_mode": self.json_mode}
        else:
            scorer = self._here().scorer
            # Not by its name, since the weights in a folder or behind a hub id may change.
            who = {
                "url": "",
                "model": scorer.model_id,
                "fingerprint": known_fingerprint(scorer),
                "backend": scorer.backend,
                "template": template_source(scorer.tokenizer),
            }
            if not who["fingerprint"]:
                return None
        return {**who, "messages": list(asked)}

    def _respondent(self) -> Endpoint | LocalModel:
        if self.url:
            return Endpoint(
                url=self.url,
                model=self.model,
                key_variable=self.key_variable,
                temperature=self.temperature,
                json_mode=self.json_mode,
                timeout=self.timeout,
                retries=self.retries,
                wait=self.wait,
            )
        return self._here()

    def _here(self) -> LocalModel:
        """Return the model that is run here, loaded once."""
        if self._local is None:
            scorer = self.scorer
            if scorer is None:
                try:
                    scorer = load_scorer(self.model, backend=self.backend)
                except TokimpError as error:
                    raise CategorizerError(f"{self.model!r} cannot be loaded ({error}); name another model") from error
            self._local = LocalModel(scorer, _TOKENS_A_WORD * self.words)
        return self._local
