"""The analysis that fits AT2's head weights, and tests them on chains of other questions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.table import Table

from tokimp.analysis.concluded import concluded
from tokimp.analysis.recorded_run import known_fingerprint
from tokimp.analysis.statistics.intervals import CONFIDENCE, CORRELATION, mean_variables
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import Number, OneOf, Text, WholeNumber
from tokimp.contracts.operators import RequiredByOperator
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError
from tokimp.report.number_texts import interval_of, mean_text
from tokimp.report.plot.style import SMALL, foot, head, new_axes, prepare, root_figure, run_text, styled
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node, stored_name
from tokimp_at2.ablations import ablated_log_odds, draw_masks, head_features
from tokimp_at2.fitting import (
    FEWEST_QUESTIONS,
    Example,
    are_enough,
    correlation,
    fit_weights,
    folds_of,
    ordered,
    uniform_weights,
)
from tokimp_at2.head_weights import HeadWeights, save_weights

_MODELS = ("fitted", "uniform")
_MOST_MARKED = 600  # heads in whose cells a minus can be read


class At2(Analysis):
    r"""How well weighted attention from the answer foretells what ablations do, on questions not seen.

    For each chain, random halves of its units are taken away, and the answer's log-odds found. The weights of heads
    are fitted so that attention, weighted by them, orders the ablations: they climb the mean over chains of Pearson's
    correlation of ``sum over units of (2 stays - 1) * importance`` with the log-odds (Cohen-Wang et al. 2025, "Learning
    to attribute with attention", arXiv 2504.13752). ``correlation`` is that of each chain with weights fitted on chains
    of other questions (``fitted``), and with one weight for all heads (``uniform``), which is attention from the
    answer. Each chain takes `ablations` passes and one for its attention.

    The authors fit on about 4000 chains, in batches of 512, with tokens as units, and hide ablated keys from all
    queries; here chains are fitted on all at once, units are the run's, and a knockout leaves hidden tokens their
    attention to each other.

    Parameters
    ----------
    operator
        ``knockout`` (positions stay, as in the paper) or ``delete``.
    ablations
        How many random ablations a chain has.
    iterations, learning_rate
        How many steps the fit of the heads' weights takes, and its learning rate.
    folds
        Number of parts into which the questions are divided, with all their chains.
    save
        File to write the weights to, fitted on all chains, for the estimator ``at2:path=FILE``.
    confidence, seed
        Settings of the intervals. The seed is that of ablations and folds.
    """

    name = "at2"
    requires = RequiredByOperator(Capability.ATTENTION)
    constraints = {
        "operator": OneOf("knockout", "delete"),
        "ablations": WholeNumber(3),
        "iterations": WholeNumber(1),
        "learning_rate": Number(above=0),
        "folds": WholeNumber(2),
        "save": Text("a file in a folder that is there", may_be_empty=True),
        **CONFIDENCE,
        "seed": WholeNumber(0),
    }

    def __init__(
        self,
        *,
        operator: str = "knockout",
        ablations: int = 32,
        iterations: int = 1000,
        learning_rate: float = 1e-3,
        folds: int = 5,
        save: str = "",
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.operator = operator
        self.ablations = ablations
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.folds = folds
        self.save = save
        self.confidence = confidence
        self.seed = seed

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a value that is not allowed, or a file that cannot be written."""
        super().validate_parameters()
        if self.save and not Path(self.save).absolute().parent.is_dir():
            raise self.invalid_parameter("save", "a file in a folder that is there")

    def writes(self) -> Sequence[Path]:
        """Return the file of the weights, if they are to be saved."""
        return (Path(self.save),) if self.save else ()

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/at2``: correlations by chain, their means, and the weights by layer and head.

        Raises
        ------
        AnalysisError
            If there are chains of too few questions, or the file cannot be written.
        """
        chains = inputs.scoring.chains
        examples = [self._example(inputs, number, chain) for number, chain in enumerate(chains)]
        if not are_enough(examples):
            raise AnalysisError(
                f"at2: weights are fitted on chains of some questions and tested on others, which takes "
                f"{FEWEST_QUESTIONS} questions or more; give more chains"
            )
        order = ordered(examples, self.seed)
        arranged = [examples[place] for place in order]
        fold, shape = folds_of(arranged, self.folds), examples[0].design.shape[1:]
        found = np.full((len(_MODELS), len(examples)), np.nan)
        for part in np.unique(fold):
            fitted = self._fit([one for one, held in zip(arranged, fold, strict=True) if held != part])
            for place, one, held in zip(order, arranged, fold, strict=True):
                if held == part:
                    found[:, place] = correlation(fitted, one), correlation(uniform_weights(shape), one)
        weights = self._fit(arranged)
        if self.save:
            self._save(inputs, weights, len(examples))
        return xr.Dataset(
            {
                "correlation": (("model", "chain"), found, {"long_name": "Pearson's correlation, held out"}),
                **mean_variables(("model",), found, self.confidence, "correlation_", CORRELATION),
                "chains_used": (("model",), (~np.isnan(found)).sum(axis=1)),
                "weight": (("layer", "head"), weights, {"long_name": "weight of the head, fitted on all chains"}),
            },
            coords={"model": list(_MODELS)},
            attrs={"operator": self.operator, "confidence": self.confidence, "seed": self.seed, "saved": self.save},
        )

    def _example(self, inputs: AnalysisInput, number: int, chain: TokenizedChain) -> Example:
        """Return a chain's example, asking the model unless what it said was kept."""
        scorer = inputs.scoring.scorer
        masks = draw_masks(chain, self.ablations, self.seed)
        kept = inputs.keep(
            number,
            lambda: {
                "features": head_features(chain, scorer),
                "outcome": ablated_log_odds(chain, scorer, masks, self.operator),
            },
        )
        inputs.report(number + 1, len(inputs.scoring.chains), chain.id, "ablations")
        return Example.of(
            id=chain.id,
            question=chain.chain.question,
            features=kept["features"],
            masks=masks,
            outcome=kept["outcome"],
        )

    def _fit(self, examples: Sequence[Example]) -> np.ndarray:
        return fit_weights(examples, self.iterations, self.learning_rate)

    def _save(self, inputs: AnalysisInput, weights: np.ndarray, chains: int) -> None:
        scorer, attributes = inputs.scoring.scorer, inputs.result.attrs
        fitted = HeadWeights(
            weights=weights,
            model_id=scorer.model_id,
            model_fingerprint=known_fingerprint(scorer),
            unit=str(attributes["unit"]),
            prompt_format=str(attributes["prompt_format"]),
            operator=self.operator,
            chains=chains,
            ablations=self.ablations,
            versions={"tokimp": version("tokimp"), "torch": version("torch")},
        )
        try:
            save_weights(fitted, Path(self.save))
        except OSError as error:
            raise AnalysisError(f"at2: {self.save} cannot be written ({error}); give another file") from error

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the mean correlations with weights that were fitted on other questions, and with uniform ones."""
        node = analysis_node(result, stored_name(result, self))
        used = int(node["chains_used"].max())
        table = new_table(f"AT2: how well attention foretells ablations ({mean_text(node.attrs['confidence'], used)})")
        table.add_column("weights of heads")
        table.add_column("Pearson's correlation", justify="right")
        names = {"fitted": "fitted on other questions", "uniform": "all alike"}
        for model in node["model"].to_numpy():
            row = node.sel(model=model)
            table.add_row(names[str(model)], interval_of(row, "correlation", int(row["chains_used"])))
        gain = (
            node["correlation"].sel(model=["fitted"]).to_numpy() - node["correlation"].sel(model="uniform").to_numpy()
        )
        said = concluded(["fitted weights"], gain, "correlation more than with all heads alike")
        table.caption = f"over {used} of {node.sizes['chain']} chains, whose answer varies with the ablations. {said}"
        return [keep_words_whole(table)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return the weights by layer and head."""
        return root_figure(draw_weights(result, node_name=stored_name(result, self)))


@styled
def draw_weights(result: xr.DataTree, ax: Axes | None = None, *, node_name: str = "at2") -> Axes:
    """Draw the weight of each head, by layer.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    weights = node["weight"].to_numpy()
    most = float(np.abs(weights).max()) or 1.0
    axis = new_axes(ax, 70)
    prepare(axis, "")
    image = axis.imshow(weights, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    # In grey, red and blue look alike: a minus tells them apart.
    if weights.size <= _MOST_MARKED:
        for row, column in np.argwhere(weights < -most / 10):
            axis.text(column, row, "\u2212", ha="center", va="center", fontsize=5)
    axis.set(xlabel="head", ylabel="layer")
    for which in (axis.xaxis, axis.yaxis):
        which.set_major_locator(MaxNLocator(integer=True))
    bar = root_figure(axis).colorbar(image, ax=axis, shrink=0.8, aspect=32, pad=0.01)
    bar.set_label("weight", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    used = int(node["chains_used"].max())
    chains = f"{used} chain{'' if used == 1 else 's'}"
    head([axis], ax, "AT2: weights of heads, fitted on all chains", run_text(result), chains)
    foot([axis], ax, "Red: attention from here tells what ablations change. Blue, \u2212: the reverse.")
    return axis
