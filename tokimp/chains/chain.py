"""A chain of reasoning: as text, and as the ids a model is given."""

from __future__ import annotations

from dataclasses import dataclass

from tokimp.errors import ChainError

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CategorySpan:
    """Characters ``start`` to ``end`` (exclusive) of a reasoning text, and the category they belong to."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Chain:
    """One question, its reasoning and its answer, as text.

    Attributes
    ----------
    id
        Names the chain in results and messages; unique within a run.
    question, reasoning, answer
        The three texts. Only reasoning is ever deleted; neither it nor the answer may be empty.
    gold
        The right answer, where it is known.
    system
        A system message, for prompt formats that have room for one.
    wrong_answer
        A wrong answer, which the objective ``contrast`` compares the answer with; not empty.
    category
        Labelled character spans of the reasoning.
    filler
        Character spans ``(start, end)`` of the reasoning that are known to be of no use for the answer. Empty if it is
        known that there are none; ``None`` if nothing is known.
    filler_kinds
        What each span of `filler` is, such as ``unused_step`` (`tokimp.chains.datasets.planted_problems`); ``None`` if
        they are not told apart.
    source
        Where the chain was read (``file:line``), for messages.

    Raises
    ------
    ChainError
        If an id or text is not a string; if the id, the reasoning, the answer or the wrong answer is empty; if a span
        of a category or of filler lies outside the reasoning; or if there is not one kind for each span of filler.
    """

    id: str
    question: str
    reasoning: str
    answer: str
    gold: str | None = None
    system: str | None = None
    wrong_answer: str | None = None
    category: tuple[CategorySpan, ...] = ()
    source: str = ""
    filler: tuple[tuple[int, int], ...] | None = None
    filler_kinds: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for field in ("id", "question", "reasoning", "answer", "gold", "system", "wrong_answer"):
            text = getattr(self, field)
            if not isinstance(text, str) and not (text is None and field in {"gold", "system", "wrong_answer"}):
                raise ChainError(f"{self.where}: the {field} must be text, not {type(text).__name__}")
        if not self.id:
            raise ChainError(f"{self.where}: the chain has an empty id; give every chain a name of its own")
        for field in ("reasoning", "answer", "wrong_answer"):
            text = getattr(self, field)
            if text is not None and not text.strip():
                raise ChainError(f"{self.where}: the {field} is empty; complete the chain or leave it out (--skip-bad)")
        spans = [(s.start, s.end, f"category span {s.start}:{s.end} ({s.label!r})") for s in self.category]
        spans += [(start, end, f"filler span {start}:{end}") for start, end in self.filler or ()]
        for start, end, what in spans:
            if not 0 <= start < end <= len(self.reasoning):
                raise ChainError(
                    f"{self.where}: {what} does not lie within the reasoning, which has "
                    f"{len(self.reasoning)} characters"
                )
        if self.filler_kinds is not None:
            n_spans = len(self.filler or ())
            if len(self.filler_kinds) != n_spans or not all(k and isinstance(k, str) for k in self.filler_kinds):
                raise ChainError(
                    f"{self.where}: there are {n_spans} spans of filler, and their kinds are {self.filler_kinds!r}; "
                    "name one for each"
                )

    @property
    def where(self) -> str:
        """The chain's id and, where known, the file and line it was read from."""
        return f"{self.source}: chain {self.id!r}" if self.source else f"chain {self.id!r}"

    def __repr__(self) -> str:
        """Show the chain on one line, long texts cut."""
        from tokimp.chains.display import chain_line  # noqa: PLC0415 - it reads chains

        return chain_line(self)

    def _repr_html_(self) -> str:
        """Return the chain as a notebook shows it, its text escaped."""
        from tokimp.chains.display import chain_html  # noqa: PLC0415 - as above

        return chain_html(self)


@dataclass(frozen=True, slots=True)
class TokenizedChain:
    """A chain as ids: three spans, each tokenised on its own, and the units in which the reasoning is deleted.

    Attributes
    ----------
    chain
        The chain as text.
    prompt_ids, reasoning_ids, answer_ids
        The ids of the spans. The model reads them joined, in this order. The answer includes what closes the turn.
    reasoning_offsets
        For each reasoning token, the characters ``(start, end)`` of ``chain.reasoning`` it covers. Tokens that
        share a character (a multi-byte character split over several tokens) have offsets that overlap.
    units
        A partition of the reasoning tokens' positions, ordered by first position; each unit is deleted as a whole.
    unit
        The kind of those units: ``token``, ``word`` or ``sentence``.
    prompt_format
        The name of the format that made the ids: ``chat``, ``think`` or ``plain``.
    wrong_answer_ids
        The wrong answer as ids, formatted as the answer is; ``None`` where the chain has none.
    answer_value
        The first of the answer's tokens that holds a part of the value, and the one after the last, as indices into
        `answer_ids`; ``None`` where the answer gives no value. What is before it opens the value (``####``); what is
        after it closes the answer and the turn.
    """

    chain: Chain
    prompt_ids: Ids
    reasoning_ids: Ids
    answer_ids: Ids
    reasoning_offsets: tuple[tuple[int, int], ...]
    units: tuple[tuple[int, ...], ...]
    unit: str = "token"
    prompt_format: str = "plain"
    wrong_answer_ids: Ids | None = None
    answer_value: tuple[int, int] | None = None

    @property
    def id(self) -> str:
        """The chain's id."""
        return self.chain.id

    @property
    def input_ids(self) -> Ids:
        """Prompt, reasoning and answer, joined."""
        return self.prompt_ids + self.reasoning_ids + self.answer_ids

    @property
    def reasoning_span(self) -> tuple[int, int]:
        """Where the reasoning begins in `input_ids`, and where the answer begins after it, in tokens."""
        start = len(self.prompt_ids)
        return start, start + len(self.reasoning_ids)

    def __len__(self) -> int:
        """Return the number of token positions of the whole sequence."""
        return len(self.prompt_ids) + len(self.reasoning_ids) + len(self.answer_ids)

    def __repr__(self) -> str:
        """Show on one line how many tokens and units the chain has."""
        from tokimp.chains.display import tokenized_chain_line  # noqa: PLC0415 - it reads chains

        return tokenized_chain_line(self)

    def _repr_html_(self) -> str:
        """Return the chain as a notebook shows it: its tokens, units and categories, its text escaped."""
        from tokimp.chains.display import tokenized_chain_html  # noqa: PLC0415 - as above

        return tokenized_chain_html(self)
