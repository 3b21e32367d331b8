"""How well attention alone predicts what deletions do: a surrogate, fitted on some questions and tested on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.recorded_run import known_fingerprint
from tokimp.analysis.statistics.intervals import RESAMPLING
from tokimp.analysis.statistics.pooled import Resampling
from tokimp.chains.arrays import FloatArray
from tokimp.chains.questions import question_numbers
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.constraints import ListOf, Number, Text, TrueOrFalse, WholeNumber
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import chain_ids
from tokimp_surrogate.crossfit import Examples, Perceptron, are_enough, crossfit
from tokimp_surrogate.features import KINDS, FeatureSpace, attention_features
from tokimp_surrogate.fitted import FittedSurrogate, SurrogateHeader, save_surrogate
from tokimp_surrogate.report import draw_surrogate, group_table, surrogate_table
from tokimp_surrogate.summary import Testing, summarise
from tokimp_surrogate.targets import Target, read_targets


class Surrogate(Analysis):
    r"""How well a regression on attention features alone predicts what deletions do, on questions not seen.

    For each unit, attention features (`tokimp_surrogate.features`: weight received from answer and reasoning, given to
    prompt, reasoning and itself, entropies and distances, in every layer and head) are to predict a target
    (`tokimp_surrogate.targets`): its post-deletion likelihood, the fall of the likelihood, the likelihood
    along a path of deletions, or its rank. Models:

    - ``mlp``: a perceptron of two layers of weights, rectified linear units between them;
    - ``ridge``: a linear regression on the same features;
    - ``position``: the perceptron on position alone: units before and after, their share, the length of the chain;
    - ``mean``: the mean of the training units.

    Features are standardised, and those beyond the range of the training units are read as its nearest end: a feature
    that is all but constant in training and not elsewhere would be extrapolated by thousands of standard deviations.

    Each chain is predicted by models fitted on chains of other questions (`folds` parts); penalties and epochs are
    chosen on training questions held out. Chains of one question, by its text, are never on both sides: several
    solutions of one problem share too much. So at least three questions are needed, however many chains they have.

    ``correlation`` of held-out prediction and target is given four ways, by Pearson and by Spearman: ``pooled`` over
    the units of all chains, or the mean of the chains' own (``within``); as it is, or with position partialled out
    within each chain (`tokimp.analysis.statistics.correlations.associate`). The pooled one is what Singh and Hakkani-Tuer
    (2026) seem to give. Post-deletion likelihoods of different chains differ in level by far more than those of the
    units of one chain, so it says mostly whether the level of a chain can be told, which the length of the chain all
    but does: read it beside ``position``. Whether units can be told apart, the correlation within says.

    ``r_squared`` is 1 - the squared error over that of ``mean``. Which features carry the perceptron, ``group_drop``
    says: what Pearson's correlation loses on held-out chains where the columns of a group are shuffled.

    Parameters
    ----------
    targets
        ``KIND:LABEL`` with the kinds ``deleted``, ``importance``, ``path``, ``rank`` and an estimator's label; empty:
        all that leave-one-out and estimators with a path give.
    hidden
        Width of each hidden layer.
    penalties
        Of the perceptron's squared weights, to choose from on training questions.
    epochs
        The most epochs.
    folds
        Parts into which the questions fall, with all their chains.
    per_head
        Whether each head has its own features, or a layer the mean and the maximum over its heads.
    permutations
        Shuffles of each group of features; 0 leaves the group out.
    minimum_units
        Chains with fewer units have no correlation within.
    save
        A file to write the perceptron to, fitted on all chains: the estimator ``surrogate:path=FILE``.
    save_target
        Which target's; empty: the first ``importance``, else the first ``rank``, else the first ``deleted`` there is.
    confidence, n_resamples, seed
        Of the bootstrap intervals, chains resampled, the fitted models as they are; the seed also of folds, weights and
        shuffles.
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
        **RESAMPLING,
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
        n_resamples: int = 2000,
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
        self.n_resamples = n_resamples
        self.seed = seed

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a value that is not allowed, or a file that cannot be written."""
        super().validate_parameters()
        if self.save and not Path(self.save).absolute().parent.is_dir():
            raise self.invalid_parameter("save", "a file in a folder that is there")
        if self.save_target and not self.save:
            raise self.invalid_parameter("save_target", "it with save=FILE, or leave it out")

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes.

        Raises
        ------
        AnalysisError
            If a target cannot be read, chains of fewer than three questions have one, or it is asked to save one that
            says nothing of importance.
        """
        ids = chain_ids(given.result)
        questions = [str(text) for text in given.result["question"].to_numpy()]
        targets, short = self._usable(read_targets(given.result, self.targets), questions, ids)
        saved = self._saved(targets) if self.save else None
        done, total = 0, len(given.scoring.chains) + sum(map(_known, targets))

        def report(chains: Sequence[str], what: str) -> None:
            nonlocal done
            done += len(chains)
            given.report(done, total, chains[-1], what)

        features, space = self._features(given, report)
        examples = {target.name: Examples.of(ids, questions, features, target.values, self.seed) for target in targets}
        perceptron = self._perceptron()
        fitted = {
            name: crossfit(each, self.folds, perceptron, partial(report, what=f"fitting {name}"))
            for name, each in examples.items()
        }
        resampling = Resampling(self.confidence, self.n_resamples, self.seed)
        testing = Testing(self.permutations, self.minimum_units, resampling)
        node = summarise(given.result, targets, examples, fitted, space=space, testing=testing)
        described = {"folds": self.folds, "seed": self.seed, "saved": self.save, "left_out": ", ".join(short)}
        if saved is not None:
            self._save(given, saved, examples[saved.name], space)
        return node.assign_attrs(described)

    def _usable(
        self, targets: Sequence[Target], questions: Sequence[str], ids: Sequence[str]
    ) -> tuple[list[Target], list[str]]:
        """Return the targets that enough questions have, and the names of the others, none of which was asked for."""
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
        self, given: AnalysisInput, report: Callable[[Sequence[str], str], None]
    ) -> tuple[list[FloatArray], FeatureSpace]:
        scoring, found = given.scoring, []
        for chain in scoring.chains:
            features, space = attention_features(chain, scoring.scorer, per_head=self.per_head)
            found.append(features)
            report([chain.id], "attention features")
        return found, space

    def _saved(self, targets: Sequence[Target]) -> Target:
        """Return the target whose surrogate is to be kept."""
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

    def _save(self, given: AnalysisInput, target: Target, examples: Examples, space: FeatureSpace) -> None:
        attributes = given.result.attrs
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
            model_id=given.scoring.scorer.model_id,
            model_fingerprint=known_fingerprint(given.scoring.scorer),
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
        return [surrogate_table(result), *group_table(result)]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return held-out predictions beside what is predicted, and the drops by group of features."""
        return draw_surrogate(result)


def _has(target: Target) -> npt.NDArray[np.bool_]:
    """Return which chains have a target, [chain]."""
    return np.array([not np.isnan(values).all() for values in target.values])


def _known(target: Target) -> int:
    """Return how many chains have a target."""
    return int(_has(target).sum())
