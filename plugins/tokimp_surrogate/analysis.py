"""The analysis that fits surrogates on attention, and tests how well they predict what deletions do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.recorded_run import known_fingerprint
from tokimp.analysis.statistics.intervals import CONFIDENCE
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.chains.questions import question_numbers
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import ListOf, Number, Text, TrueOrFalse, WholeNumber
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import stored_name
from tokimp.results.by_chain import chain_ids
from tokimp_surrogate.crossfit import Examples, Perceptron, are_enough, crossfit
from tokimp_surrogate.features import KINDS, FeatureSpace, attention_features
from tokimp_surrogate.figure import surrogate_figure
from tokimp_surrogate.fitted_surrogate import FittedSurrogate, SurrogateHeader, save_surrogate
from tokimp_surrogate.lexical import chain_words
from tokimp_surrogate.report import group_table, surrogate_table
from tokimp_surrogate.summary import Testing, summarise
from tokimp_surrogate.targets import Target, read_targets


class Surrogate(Analysis):
    r"""How well a regression on attention features alone predicts what deletions do, on questions not seen.

    For each unit, attention features are to predict a target. The features (`tokimp_surrogate.features`) are weights
    received from answer and reasoning, weights given to prompt, reasoning and the unit itself, entropies and distances,
    in every layer and head. The target (`tokimp_surrogate.targets`) is the likelihood after the unit's deletion, the
    fall of the likelihood, the likelihood along a path of deletions, or the unit's rank. There are six models:

    - ``mlp``: a perceptron with two layers of weights and rectified linear units between them;
    - ``ridge``: a linear regression on the same features;
    - ``lexical``: a ridge regression on ids alone: of the token before the unit, of its own tokens, and of the next
      one, all as indicators. It never looks at the model;
    - ``both``: a ridge regression on these indicators and the attention features;
    - ``position``: the perceptron on position alone: units before and after, their share, the length of the chain;
    - ``mean``: the mean of the training units.

    Features are standardised, and clipped to the range of the training units. Otherwise a feature that is nearly
    constant in training, but not elsewhere, would be extrapolated by thousands of standard deviations.

    Each chain is predicted by models fitted on chains of other questions, which are divided into `folds` parts.
    Penalties and epochs are chosen on training questions held out. Chains with the same question text are never on both
    sides, since several solutions of one problem share too much. So at least three questions are needed, however many
    chains they have.

    ``correlation`` of held-out prediction and target is given by Pearson and by Spearman, in four ways: over the units
    of all chains (``pooled``) or as the mean of the chains' own (``within``), and each as it is or with position
    partialled out within each chain (`tokimp.analysis.statistics.correlations.associate`). The pooled one is what Singh
    and Hakkani-Tuer (2026) seem to give. Likelihoods after a deletion differ far more between chains than between the
    units of one chain. So the pooled correlation says mostly whether the level of a chain is predicted, for which its
    length nearly suffices; compare it with ``position``. The correlation within says whether units are told apart.

    Much of what a deletion does follows from which tokens are deleted. So attention has shown something only if it
    predicts what ids do not. ``attention_adds`` is Pearson's correlation within a chain of ``both`` less that of
    ``lexical``, with its interval over chains.

    ``r_squared`` is 1 minus the squared error divided by that of ``mean``. ``group_drop`` says which features the
    perceptron relies on: it is what Pearson's correlation loses on held-out chains if the columns of a group are
    shuffled.

    Parameters
    ----------
    targets
        Names of the targets, ``KIND:LABEL``: one of the kinds ``deleted``, ``importance``, ``path`` and ``rank``, and
        the label of an estimator. If empty, all targets of leave-one-out and of estimators with a path are predicted.
    hidden
        Width of each hidden layer.
    penalties
        Penalties of the perceptron's squared weights, to choose from on training questions.
    epochs
        The most epochs.
    folds
        Number of parts into which the questions are divided, with all their chains.
    per_head
        Whether each head has features of its own. If not, a layer has the mean and the maximum over its heads.
    permutations
        Number of shuffles of each group of features; 0 leaves ``group_drop`` out.
    minimum_units
        Chains with fewer units have no correlation within.
    save
        File to write the perceptron to, fitted on all chains, for the estimator ``surrogate:path=FILE``.
    save_target
        Name of the target whose perceptron is saved; if empty, the first ``importance``, else the first ``rank``, else
        the first ``deleted`` there is.
    confidence, seed
        Settings of the intervals, which are over chains; the fitted models stay as they are. The seed is that of folds,
        weights and shuffles.
    """

    name = "surrogate"
    requires = frozenset({Capability.ATTENTION})
    constraints = {
        "targets": ListOf(Text("KIND:ESTIMATOR, such as rank:greedy")),
        "hidden": ListOf(WholeNumber(1), fewest=1),
        "penalties": ListOf(Number(0), fewest=1),
        "epochs": WholeNumber(1),
        "folds": WholeNumber(2),
        "per_head": TrueOrFalse(),
        "permutations": WholeNumber(0),
        "minimum_units": WholeNumber(3),
        "save": Text("a file in a folder that is there", may_be_empty=True),
        "save_target": Text("one of the targets", may_be_empty=True),
        **CONFIDENCE,
        "seed": WholeNumber(0),
    }

    def __init__(
        self,
        *,
        targets: Sequence[str] = (),
        hidden: Sequence[int] = (64,),
        penalties: Sequence[float] = (1.0, 10.0),
        epochs: int = 200,
        folds: int = 5,
        per_head: bool = True,
        permutations: int = 5,
        minimum_units: int = 5,
        save: str = "",
        save_target: str = "",
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.targets = targets
        self.hidden = hidden
        self.penalties = penalties
        self.epochs = epochs
        self.folds = folds
        self.per_head = per_head
        self.permutations = permutations
        self.minimum_units = minimum_units
        self.save = save
        self.save_target = save_target
        self.confidence = confidence
        self.seed = seed

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a value that is not allowed, or a file that cannot be written."""
        super().validate_parameters()
        if self.save and not Path(self.save).absolute().parent.is_dir():
            raise self.invalid_parameter("save", "a file in a folder that is there")
        if self.save_target and not self.save:
            raise self.invalid_parameter("save_target", "it with save=FILE, or leave it out")

    def writes(self) -> Sequence[Path]:
        """Return the file of the fitted surrogate, if it is to be saved."""
        return (Path(self.save),) if self.save else ()

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the node ``/analysis/surrogate``, as ``docs/schema.md`` describes it.

        Raises
        ------
        AnalysisError
            If a target cannot be read; if chains of too few questions have one; or if the target to save says nothing
            about importance.
        """
        ids = chain_ids(inputs.result)
        questions = [str(text) for text in inputs.result["question"].to_numpy()]
        # A worker is asked for the features of one chain, on which nothing can be fitted. Else what cannot be fitted is
        # refused before the model is asked.
        if len(ids) == 1:
            self._features(inputs, lambda chains, what: None)
        targets, left_out = self._with_enough_questions(read_targets(inputs.result, self.targets), questions, ids)
        saved = self._saved(targets) if self.save else None
        done, total = 0, len(inputs.scoring.chains) + sum(map(_known, targets))

        def report(chains: Sequence[str], what: str) -> None:
            nonlocal done
            done += len(chains)
            inputs.report(done, total, chains[-1], what)

        features, space = self._features(inputs, report)
        words = [chain_words(chain) for chain in inputs.scoring.chains]
        examples = {
            target.name: Examples.of(ids, questions, features, target.values, self.seed, words=words)
            for target in targets
        }
        perceptron = self._perceptron()
        fitted = {
            name: crossfit(chains, self.folds, perceptron, partial(report, what=f"fitting {name}"))
            for name, chains in examples.items()
        }
        testing = Testing(self.permutations, self.minimum_units, self.confidence, self.seed)
        node = summarise(inputs.result, targets, examples, fitted, space=space, testing=testing)
        attributes = {"folds": self.folds, "seed": self.seed, "saved": self.save, "left_out": ", ".join(left_out)}
        if saved is not None:
            self._save(inputs, saved, examples[saved.name], space)
        return node.assign_attrs(attributes)

    def _with_enough_questions(
        self, targets: Sequence[Target], questions: Sequence[str], ids: Sequence[str]
    ) -> tuple[list[Target], list[str]]:
        """Return the targets that chains of enough questions have, and the names of the other, default ones.

        Raises
        ------
        AnalysisError
            If too few questions have a target that was named, or any target at all.
        """
        numbers = question_numbers(questions, ids)
        count = {target.name: len(np.unique(numbers[_has(target)])) for target in targets}
        short = {target.name: _known(target) for target in targets if not are_enough(count[target.name], self.folds)}
        if short and (self.targets or len(short) == len(targets)):
            name, chains = next(iter(short.items()))
            raise AnalysisError(
                f"surrogate: {chains} chains have {name!r}, too few different questions ({count[name]}) to fit on at "
                f"least two and test on others with {self.folds} folds; give chains of at least 3 questions (many "
                "more, to learn anything), or more folds"
            )
        return [target for target in targets if target.name not in short], list(short)

    def _perceptron(self) -> Perceptron:
        return Perceptron(tuple(self.hidden), tuple(map(float, self.penalties)), self.epochs, self.seed)

    def _features(
        self, inputs: AnalysisInput, report: Callable[[Sequence[str], str], None]
    ) -> tuple[list[FloatArray], FeatureSpace]:
        """Return the attention features of each chain, [unit, feature], and the meaning of the columns."""
        scorer, features_by_chain = inputs.scoring.scorer, []
        for index, chain in enumerate(inputs.scoring.chains):

            def ask(chain: TokenizedChain = chain) -> dict[str, npt.NDArray[Any]]:
                features, space = attention_features(chain, scorer, per_head=self.per_head)
                return {"features": features, "layers": np.array(space.layers), "heads": np.array(space.heads)}

            kept = inputs.keep(index, ask)
            features_by_chain.append(kept["features"])
            report([chain.id], "attention features")
        return features_by_chain, FeatureSpace(int(kept["layers"]), int(kept["heads"]), self.per_head)

    def _saved(self, targets: Sequence[Target]) -> Target:
        """Return the target whose surrogate is to be saved; raise `AnalysisError` if there is none."""
        usable = {target.name: target for target in targets if target.sign}
        wanted = [self.save_target] if self.save_target else []
        if not wanted:
            wanted = [name for kind in ("importance", "rank", "deleted") for name in usable if name.startswith(kind)]
        if not wanted or wanted[0] not in usable:
            raise AnalysisError(
                f"surrogate: no target {self.save_target or 'of importance'!r} to save; these say how important a unit "
                f"is: {', '.join(usable) or 'none'} (a likelihood along a path does not)"
            )
        return usable[wanted[0]]

    def _save(self, inputs: AnalysisInput, target: Target, examples: Examples, space: FeatureSpace) -> None:
        """Fit a perceptron on all chains with a target, and write it to the file `save`."""
        attributes = inputs.result.attrs
        training = examples.training(range(len(examples)), examples.features)
        network = self._perceptron().fit(training)
        header = SurrogateHeader(
            target=target.name,
            sign=target.sign,
            objective=str(attributes["objective"]),
            unit=str(attributes["unit"]),
            layers=space.layers,
            heads=space.heads,
            per_head=space.per_head,
            kinds=KINDS,
            model_id=inputs.scoring.scorer.model_id,
            model_fingerprint=known_fingerprint(inputs.scoring.scorer),
            prompt_format=str(attributes["prompt_format"]),
            chains=len(examples),
            units=len(training.target),
            versions={"tokimp": version("tokimp"), "scikit-learn": version("scikit-learn")},
        )
        try:
            save_surrogate(FittedSurrogate(header, network), Path(self.save))
        except OSError as error:
            raise AnalysisError(f"surrogate: {self.save} cannot be written ({error}); give another file") from error

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return correlations of every target and model, and which features carry the perceptron."""
        name = stored_name(result, self)
        return [surrogate_table(result, node_name=name), *group_table(result, node_name=name)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return held-out predictions beside what is predicted, and the drops by group of features."""
        return surrogate_figure(result, node_name=stored_name(result, self))


def _has(target: Target) -> npt.NDArray[np.bool_]:
    """Return which chains have a target, [chain]."""
    return np.array([not np.isnan(values).all() for values in target.values])


def _known(target: Target) -> int:
    """Return how many chains have a target."""
    return int(_has(target).sum())
