"""Whether the model still gives the same answer after pruned reasoning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.answer_recovery.report import answer_recovery_table, coinciding_references, draw_answer_recovery
from tokimp.analysis.deletion_orders import (
    KEEP_RATIOS,
    Units,
    deletion_orders,
    kept_count,
    positions_of,
    uniform_orders,
)
from tokimp.analysis.statistics.intervals import RESAMPLING, mean_intervals
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.chains.datasets.correctness import AnswerKind, AnswerParts, read_value, same_value, split_answer
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import ListOf, Number, Optional, WholeNumber
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import iterate

REFERENCES = ("chain", "unpruned", "gold")
Texts = npt.NDArray[np.object_]


class AnswerRecovery(Analysis):
    """Whether the model still gives the same answer after reasoning pruned to each keep ratio.

    The paper's quick check: the model finishes the answer itself. It is given the prompt, the reasoning that is kept
    and the *opening* of the chain's answer (what closes the reasoning, and a mark such as ``####`` or
    ``The answer is (``), as the ids of the chain, and writes on greedily. So it cannot reason anew what was deleted;
    what it writes is read as the value that the opening asks for.

    Values are compared by `tokimp.chains.datasets.correctness.same_value`: letters for choices, numbers as numbers,
    expressions by math-verify, anything else as text. They are compared with three references:

    - ``chain``: the answer in the chain;
    - ``unpruned``: what the model writes after the whole reasoning;
    - ``gold``: the right answer, where it is known.

    Where an estimator says nothing about a chain, or stopped deleting before a ratio, the value is NaN.

    Parameters
    ----------
    keep_ratios
        Shares of units kept, ascending; ``int(n * ratio)`` units stay, the most important. At 0 the model answers
        without reasoning, whoever ranked it.
    n_uniform
        Random orders a chain; at least 1.
    max_new_tokens
        The most tokens written; by default twice as many as the chain's own answer has after its opening, and 8.
    confidence, n_resamples
        Of the bootstrap.
    seed
        Of random orders, ties and bootstrap.
    """

    name = "answer_recovery"
    requires = frozenset({Capability.LOGPROBS, Capability.GENERATION})
    constraints = {
        "keep_ratios": ListOf(Number(0, 1), fewest=1, ascending=True),
        "n_uniform": WholeNumber(1),
        "max_new_tokens": Optional(WholeNumber(1)),
        **RESAMPLING,
    }

    def __init__(
        self,
        *,
        keep_ratios: Sequence[float] = (0.0, *KEEP_RATIOS),
        n_uniform: int = 3,
        max_new_tokens: int | None = None,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        seed: int = 0,
    ) -> None:
        self.keep_ratios = keep_ratios
        self.n_uniform = n_uniform
        self.max_new_tokens = max_new_tokens
        self.confidence = confidence
        self.n_resamples = n_resamples
        self.seed = seed

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes."""
        scoring, result = given.scoring, given.result
        n_ratios, n_chains = len(self.keep_ratios), len(scoring.chains)
        rows = result.sizes["estimator"] + self.n_uniform
        matches = np.full((len(REFERENCES), rows, n_ratios, n_chains), np.nan)
        texts = _empty_texts((rows, n_ratios, n_chains))
        unpruned = _empty_texts((n_chains,))
        for index, (chain, (_, part)) in enumerate(zip(scoring.chains, iterate(result), strict=True)):
            n = len(chain.units)
            orders = [*deletion_orders(part, self.seed), *uniform_orders(chain.id, n, self.n_uniform, self.seed)]
            kept = {
                (row, column): None if order is None else order.most_important(kept_count(n, ratio))
                for row, order in enumerate(orders)
                for column, ratio in enumerate(self.keep_ratios)
            }
            answers = self._answers(scoring.scorer, chain, [units for units in kept.values() if units is not None])
            expected = _references(chain, answers.parts, answers.whole)
            unpruned[index] = answers.whole
            for place, units in kept.items():
                if units is not None:
                    texts[(*place, index)] = answers.values[units]
                    matches[(slice(None), *place, index)] = _compared(
                        answers.values[units], expected, answers.parts.kind
                    )
            given.report(index + 1, n_chains, chain.id, "answer_recovery")
        return self._node(result, matches, texts, unpruned)

    def _answers(self, scorer: Scorer, chain: TokenizedChain, versions: Sequence[Units]) -> _Answers:
        """Let the model answer after each version of a chain's reasoning, each given by the units that are kept."""
        parts = split_answer(chain.chain.answer)
        opening = find_opening(chain, scorer.tokenizer, parts)
        whole = tuple(range(len(chain.units)))
        different = list(dict.fromkeys([whole, *versions]))
        prompts = []
        for units in different:
            kept = tuple(chain.reasoning_ids[position] for position in positions_of(chain, units))
            prompts.append(chain.prompt_ids + kept + opening.ids)
        enough = 2 * (len(chain.answer_ids) - len(opening.ids)) + 8
        written = scorer.generate(prompts, max_new_tokens=self.max_new_tokens or enough)
        values = [opening.value_in(texts[0], parts.kind) for texts in written]
        return _Answers(parts, dict(zip(different, values, strict=True)), values[0])

    def _node(self, result: xr.DataTree, matches: FloatArray, texts: Texts, unpruned: Texts) -> xr.Dataset:
        n = result.sizes["estimator"]
        dims = ("reference", "estimator", "keep_ratio")
        settings: dict[str, Any] = {"confidence": self.confidence, "n_resamples": self.n_resamples, "seed": self.seed}
        mean, low, high = mean_intervals(matches[:, :n], **settings)
        uniform = _known_mean(matches[:, n:])
        return xr.Dataset(
            {
                "recovered": ((*dims, "chain"), matches[:, :n]),
                "mean": (dims, mean),
                "low": (dims, low),
                "high": (dims, high),
                "chains_used": (dims, (~np.isnan(matches[:, :n])).sum(axis=-1)),
                "written": (("estimator", "keep_ratio", "chain"), texts[:n]),
                "written_unpruned": ("chain", unpruned),
                "uniform_recovered": (("reference", "draw", "keep_ratio", "chain"), matches[:, n:]),
                "uniform_mean": (("reference", "keep_ratio"), uniform.mean(axis=1)),
                "uniform_low": (("reference", "keep_ratio"), uniform.min(axis=1)),
                "uniform_high": (("reference", "keep_ratio"), uniform.max(axis=1)),
            },
            coords={
                "reference": np.array(REFERENCES, dtype=object),
                "estimator": result["estimator"].variable,
                "keep_ratio": np.array(self.keep_ratios, dtype=np.float64),
                "draw": np.arange(self.n_uniform),
            },
            attrs={**settings, "n_uniform": self.n_uniform, "interval": "BCa bootstrap of the mean, chains resampled"},
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the share of chains that give the chain's answer, and the right one where any is known and differs."""
        groups = coinciding_references(result["analysis/answer_recovery"].to_dataset())
        # What the model wrote unpruned has a panel of the figure, and no table.
        firsts = (next((name for name in names if name != "unpruned"), None) for names in groups)
        return [answer_recovery_table(result, name) for name in firsts if name is not None]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the shares over the keep ratio, with the band of random orders."""
        return draw_answer_recovery(result)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the model wrote: by the units that were kept, and after the whole reasoning."""

    parts: AnswerParts
    values: Mapping[Units, str]
    whole: str


@dataclass(frozen=True, slots=True)
class Opening:
    """What stands before the value of a chain's answer.

    Attributes
    ----------
    ids
        The chain's own ids up to the value, so that the model goes on exactly where it was scored.
    rest
        What of the opening's text shares a token with the value, and so is left to the model to write.
    """

    ids: tuple[int, ...]
    rest: str

    def value_in(self, written: str, kind: AnswerKind) -> str:
        """Return the value in what the model wrote after the ids."""
        # A NUL, which no result file can hold, is no part of an answer.
        return read_value(written.removeprefix(self.rest), kind).replace("\0", "")


def find_opening(chain: TokenizedChain, tokenizer: Any, parts: AnswerParts) -> Opening:
    """Return what stands before the value of a chain's answer, the text that closes the reasoning included.

    Raises
    ------
    AnalysisError
        If the answer's text is not to be found in what its ids decode to.
    """
    decode = SpanEncoder.of(tokenizer).decode if getattr(tokenizer, "is_fast", False) else tokenizer.decode
    before = list(chain.reasoning_ids[-1:])
    shift = len(decode(before))

    def text(count: int) -> str:
        # After the last reasoning token, where it stands: some decoders drop the first space of a text.
        return str(decode([*before, *chain.answer_ids[:count]]))[shift:]

    whole = text(len(chain.answer_ids))
    # Tokenizers that compose characters give the composed text back.
    for form in (str, lambda given: normalize("NFC", given)):
        answer = form(chain.chain.answer.strip())
        at = whole.find(answer)
        if at >= 0:
            begin = at + (len(form(parts.opening.lstrip())) if parts.opening else 0)
            break
    else:
        raise AnalysisError(
            f"{chain.chain.where}: the answer {chain.chain.answer!r} is not in what its tokens decode to, {whole!r}"
        )
    count = 0
    while count < len(chain.answer_ids) and len(text(count + 1)) <= begin:
        count += 1
    return Opening(chain.answer_ids[:count], whole[len(text(count)) : begin])


def _references(chain: TokenizedChain, parts: AnswerParts, unpruned: str) -> list[str]:
    """Return the values to compare with, [reference]; empty where there is none."""
    gold = chain.chain.gold
    return [parts.value, unpruned, "" if gold is None else split_answer(gold).value]


def _compared(value: str, expected: Sequence[str], kind: AnswerKind) -> list[float]:
    return [float(same_value(value, right, kind)) if right else np.nan for right in expected]


def _empty_texts(shape: tuple[int, ...]) -> Texts:
    texts: Texts = np.full(shape, "", dtype=object)
    return texts


def _known_mean(values: FloatArray) -> FloatArray:
    """Return the mean along the last dimension of what is not NaN; NaN where nothing is."""
    count = (~np.isnan(values)).sum(axis=-1)
    mean: FloatArray = np.where(count, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)
    return mean
