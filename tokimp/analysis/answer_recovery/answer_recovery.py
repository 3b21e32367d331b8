"""Whether the model still gives the same answer after reasoning that was pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr
from rich.table import Table

from tokimp.analysis.answer_recovery.report import answer_recovery_table
from tokimp.analysis.deletion_orders import (
    KEEP_RATIOS,
    Units,
    deletion_orders,
    kept_count,
    positions_of,
    uniform_orders,
)
from tokimp.analysis.statistics.intervals import CONFIDENCE, share_variables
from tokimp.chains.answer_value import find_answer_value
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.chains.datasets.correctness import AnswerKind, AnswerParts, split_answer
from tokimp.chains.datasets.values import same_value
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import ListOf, Number, Optional, WholeNumber
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError
from tokimp.report import plot
from tokimp.report.answer_references import coinciding_references
from tokimp.results.analysis_nodes import analysis_node, stored_name
from tokimp.results.by_chain import iterate
from tokimp.results.ties import TIES, tie, tie_attributes, tie_variables

if TYPE_CHECKING:  # slow to import, and needed only once there is something to draw
    from matplotlib.figure import Figure

REFERENCES = ("chain", "unpruned", "gold")
Texts = npt.NDArray[np.object_]


class AnswerRecovery(Analysis):
    """Whether the model still gives the same answer after reasoning that is pruned to each keep ratio.

    This is the paper's quick check: the model finishes the answer itself. It reads the prompt, the reasoning that is
    kept and the *opening* of the chain's answer (what closes the reasoning, and a mark such as ``####`` or
    ``The answer is (``), all as the ids of the chain, and writes on greedily. So it cannot reason anew about what was
    deleted. What it writes is read as the value that follows the opening.

    `tokimp.chains.datasets.values.same_value` compares values: letters for choices, quantities as numbers with units,
    lists, expressions by math-verify, anything else as text. A value is recovered where it is shown to be the same; one
    that cannot be read is not. Each value is compared with three references:

    - ``chain``: the answer in the chain;
    - ``unpruned``: what the model writes after the whole reasoning;
    - ``gold``: the right answer, where it is known.

    The value is NaN where an estimator says nothing about a chain, or stopped deleting before a ratio.

    Parameters
    ----------
    keep_ratios
        Shares of units kept, ascending; the ``int(n * ratio)`` most important units stay. At 0 the model answers
        without reasoning, so all estimators give the same.
    n_uniform
        Number of random orders of each chain; at least 1.
    max_new_tokens
        The most tokens written. The default is 8 more than twice the tokens that the chain's own answer has after its
        opening.
    tie_threshold
        Units that matter less than this tie (`tokimp.results.ties.tie`); nats. 0 leaves importances as they are.
    tie_estimators
        Labels or names of the estimators whose importances are in nats, and so have the threshold.
    confidence
        Settings of the intervals, which are Wilson's of a share of chains.
    seed
        Seed of random orders, and ties.
    """

    name = "answer_recovery"
    requires = frozenset({Capability.LOGPROBS, Capability.GENERATION})
    constraints = {
        "keep_ratios": ListOf(Number(0, 1), fewest=1, ascending=True),
        "n_uniform": WholeNumber(1),
        "max_new_tokens": Optional(WholeNumber(1)),
        **TIES,
        **CONFIDENCE,
        "seed": WholeNumber(0),
    }

    def __init__(
        self,
        *,
        keep_ratios: Sequence[float] = (0.0, *KEEP_RATIOS),
        n_uniform: int = 3,
        max_new_tokens: int | None = None,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.keep_ratios = keep_ratios
        self.n_uniform = n_uniform
        self.max_new_tokens = max_new_tokens
        self.tie_threshold = tie_threshold
        self.tie_estimators = tie_estimators
        self.confidence = confidence
        self.seed = seed

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/answer_recovery``, as ``docs/schema.md`` describes it."""
        scoring = inputs.scoring
        result = tie(inputs.result, self.tie_threshold, self.tie_estimators)
        n_ratios, n_chains = len(self.keep_ratios), len(scoring.chains)
        n_orders = result.sizes["estimator"] + self.n_uniform
        matches = np.full((len(REFERENCES), n_orders, n_ratios, n_chains), np.nan)
        texts = _empty_texts((n_orders, n_ratios, n_chains))
        unpruned = _empty_texts((n_chains,))
        for index, (chain, (_, stored)) in enumerate(zip(scoring.chains, iterate(result), strict=True)):
            n = len(chain.units)
            orders = [*deletion_orders(stored, self.seed), *uniform_orders(chain.id, n, self.n_uniform, self.seed)]
            kept = {
                (row, column): None if order is None else order.most_important(kept_count(n, ratio))
                for row, order in enumerate(orders)
                for column, ratio in enumerate(self.keep_ratios)
            }
            answers = self._answers(inputs, index, [units for units in kept.values() if units is not None])
            references = _references(chain, answers.parts, answers.unpruned)
            unpruned[index] = answers.unpruned
            for place, units in kept.items():
                if units is not None:
                    value = answers.values[units]
                    texts[(*place, index)] = value
                    matches[(slice(None), *place, index)] = _matches(value, references, answers.parts.kind)
            inputs.report(index + 1, n_chains, chain.id, "answer_recovery")
        return self._node(result, matches, texts, unpruned)

    def _answers(self, inputs: AnalysisInput, index: int, versions: Sequence[Units]) -> _Answers:
        """Let the model answer after each version of a chain's reasoning, each given by the units it keeps."""
        scorer, chain = inputs.scoring.scorer, inputs.scoring.chains[index]
        parts = split_answer(chain.chain.answer)
        place = find_answer_value(chain.reasoning_ids, chain.answer_ids, chain.chain.answer, parts, scorer.tokenizer)
        if place is None:
            raise AnalysisError(
                f"{chain.chain.where}: the answer {chain.chain.answer!r} is not in what its tokens decode to; use the "
                "tokenizer of the run"
            )
        opening = chain.answer_ids[: place.begin]
        whole = tuple(range(len(chain.units)))
        different = list(dict.fromkeys([whole, *versions]))
        prompts = []
        for units in different:
            kept = tuple(chain.reasoning_ids[position] for position in positions_of(chain, units))
            prompts.append(chain.prompt_ids + kept + opening)
        enough = 2 * (len(chain.answer_ids) - len(opening)) + 8

        def write() -> dict[str, Texts]:
            written = scorer.generate(prompts, max_new_tokens=self.max_new_tokens or enough)
            return {"values": np.array([place.value_in(texts[0], parts.kind) for texts in written], dtype=object)}

        values = inputs.keep(index, write)["values"].tolist()
        return _Answers(parts, dict(zip(different, values, strict=True)), values[0])

    def _node(self, result: xr.DataTree, matches: FloatArray, texts: Texts, unpruned: Texts) -> xr.Dataset:
        """Return the node.

        `matches` is [reference, order, keep_ratio, chain] and `texts` is [order, keep_ratio, chain]; the estimators'
        orders come first, then the random ones.
        """
        n = result.sizes["estimator"]
        dims = ("reference", "estimator", "keep_ratio")
        uniform = _mean_of_known(matches[:, n:])
        return xr.Dataset(
            {
                "recovered": ((*dims, "chain"), matches[:, :n]),
                **share_variables(dims, matches[:, :n], self.confidence),
                **tie_variables(result),
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
            attrs={
                "confidence": self.confidence,
                "seed": self.seed,
                **tie_attributes(self.tie_threshold, self.tie_estimators),
                "n_uniform": self.n_uniform,
                "interval": "Wilson interval of the share of chains",
            },
        )

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return tables of the share of chains that give the chain's answer, and the right one where it differs."""
        node_name = stored_name(result, self)
        groups = coinciding_references(analysis_node(result, node_name))
        # What the model wrote unpruned has a panel in the figure, but no table.
        firsts = (next((name for name in names if name != "unpruned"), None) for names in groups)
        return [answer_recovery_table(result, name, node_name=node_name) for name in firsts if name is not None]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the shares over the keep ratio, with the band of random orders."""
        return plot.answer_recovery(result, node_name=stored_name(result, self)).figure


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the model wrote for one chain.

    Attributes
    ----------
    parts
        The chain's own answer.
    values
        The value that the model wrote, by the units that were kept.
    unpruned
        The value after the whole reasoning.
    """

    parts: AnswerParts
    values: Mapping[Units, str]
    unpruned: str


def _references(chain: TokenizedChain, parts: AnswerParts, unpruned: str) -> list[str]:
    """Return the values to compare with, [reference]; empty where a reference has none."""
    gold = chain.chain.gold
    return [parts.value, unpruned, "" if gold is None else split_answer(gold).value]


def _matches(value: str, references: Sequence[str], kind: AnswerKind) -> list[float]:
    """Return 1 for each reference that a value is shown to be the same as, else 0, [reference]; NaN without one.

    What cannot be read is not the answer: a model writes more of it the more is deleted.
    """
    return [float(same_value(value, reference, kind) is True) if reference else np.nan for reference in references]


def _empty_texts(shape: tuple[int, ...]) -> Texts:
    texts: Texts = np.full(shape, "", dtype=object)
    return texts


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Return the mean along the last dimension, NaN left out; NaN where there is nothing else."""
    count = (~np.isnan(values)).sum(axis=-1)
    mean: FloatArray = np.where(count, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)
    return mean
