"""What a model writes when it is given the beginning of a chain's reasoning, each text written once and kept.

Both estimators of this package ask the same questions, so the texts are kept: in memory for the chains asked about
last, or in a folder, which survives a kill and serves later runs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.seeded import seeded_generator
from tokimp.errors import EstimatorError, UnsupportedError
from tokimp.storage.digests import json_digest
from tokimp_resample.continuation_file import ContinuationFile

_CHAINS_IN_MEMORY = 256
_recent: OrderedDict[str, dict[str, list[str]]] = OrderedDict()
_recent_lock = Lock()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How continuations are sampled.

    Attributes
    ----------
    rollouts
        How many continuations each beginning gets.
    temperature, top_p
        As of `tokimp.contracts.scorer.Scorer.generate`.
    max_new_tokens
        The most tokens of a continuation; ``None`` is twice the tokens that the chain still has from there on, its
        answer included, and 16 more.
    seed
        Any whole number. The texts after a beginning depend on it, the chain's id and the beginning alone.
    """

    rollouts: int = 20
    temperature: float = 0.6
    top_p: float = 0.95
    max_new_tokens: int | None = None
    seed: int = 0


class Continuations:
    """The continuations of beginnings of one chain's reasoning.

    Parameters
    ----------
    writer
        What writes: a scorer, or a writing engine with the same model.
    chain
        The chain.
    sampling
        How texts are sampled.
    folder
        Where they are kept; ``None`` keeps those of the last 256 chains in memory.
    model
        The fingerprint of the model that they are kept for; by default the writer's.

    Raises
    ------
    UnsupportedError
        If they are to be kept in a folder, and the writer cannot tell its model from others.
    """

    def __init__(
        self,
        writer: Scorer,
        chain: TokenizedChain,
        sampling: Sampling,
        folder: str | Path | None = None,
        *,
        model: str | None = None,
    ) -> None:
        self._writer, self._chain, self._sampling = writer, chain, sampling
        self._folder = None if folder is None else Path(folder).expanduser()
        try:
            self._model: str | None = writer.fingerprint() if model is None else model
        except UnsupportedError:
            if self._folder is not None:
                raise
            # Its texts cannot be told from another model's, so they are written anew each time.
            self._model = None
        asked = [self._model, chain.id, chain.prompt_ids, chain.reasoning_ids, len(chain.answer_ids), asdict(sampling)]
        self._key = json_digest(asked)

    def after(self, beginnings: Sequence[Sequence[int]]) -> list[list[str]]:
        """Return the texts that follow each beginning of the reasoning, as many as there are rollouts.

        Those that are kept are read. The others are written, one beginning after the other, and kept at once.

        Parameters
        ----------
        beginnings
            For each the positions of the reasoning tokens that are given, ascending.
        """
        names = [_name(positions) for positions in beginnings]
        file = self._file()
        texts = self._remembered() if file is None else file.read()
        for name, positions in zip(names, beginnings, strict=True):
            if len(texts.get(name, ())) < self._sampling.rollouts:
                written = self._write(name, positions)
                texts[name] = written if file is None else file.add(name, positions, written)
                if file is None:
                    self._remember(texts)
        return [texts[name] for name in names]

    def _write(self, name: str, positions: Sequence[int]) -> list[str]:
        sampling, chain = self._sampling, self._chain
        most = sampling.max_new_tokens
        if most is None:
            most = 2 * (len(chain.reasoning_ids) - len(positions) + len(chain.answer_ids)) + 16
        (texts,) = self._writer.generate(
            [(*chain.prompt_ids, *(chain.reasoning_ids[position] for position in positions))],
            max_new_tokens=most,
            n=sampling.rollouts,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=int(seeded_generator(sampling.seed, chain.id, f"continuations {name}").integers(2**31)),
        )
        return texts

    def _file(self) -> ContinuationFile | None:
        if self._folder is None:
            return None
        origin = {"model": self._model, **asdict(self._sampling)}
        return ContinuationFile(self._folder, self._chain, self._key, origin, rollouts=self._sampling.rollouts)

    def _remembered(self) -> dict[str, list[str]]:
        with _recent_lock:
            return dict(_recent.get(self._key, {})) if self._model is not None else {}

    def _remember(self, texts: dict[str, list[str]]) -> None:
        if self._model is None:
            return
        with _recent_lock:
            _recent[self._key] = {**_recent.get(self._key, {}), **texts}
            _recent.move_to_end(self._key)
            while len(_recent) > _CHAINS_IN_MEMORY:
                _recent.popitem(last=False)


def beginnings(chain: TokenizedChain) -> list[tuple[int, ...]]:
    """Return the positions of the tokens before each unit, and those of all tokens, [unit + 1]."""
    taken: list[int] = []
    found: list[tuple[int, ...]] = [()]
    for unit in chain.units:
        taken = sorted([*taken, *unit])
        found.append(tuple(taken))
    return found


def _name(positions: Sequence[int]) -> str:
    """Return the name of a beginning: how many tokens it has, and which, where these are not the first ones."""
    if list(positions) == list(range(len(positions))):
        return str(len(positions))
    return f"{len(positions)}-{json_digest(list(positions))[:8]}"


def write_continuations(
    chains: Sequence[TokenizedChain],
    writer: Scorer,
    folder: str | Path,
    sampling: Sampling | None = None,
    *,
    scorer: Scorer | None = None,
) -> int:
    """Write the continuations that `Resample` and `Pivotal` will read, with any engine; return how many there are.

    So a fast engine can write for a scorer: ``write_continuations(chains, ti.load_engine(model, "vllm"), folder,
    scorer=scorer)``. What is in the folder already is not written again.

    Parameters
    ----------
    chains
        The chains, tokenised as the run has them.
    writer
        The engine or scorer that writes.
    folder
        The `folder` of the estimators.
    sampling
        As the estimators' parameters say; their defaults if it is left out.
    scorer
        The scorer that the estimators will be given; the writer itself if it is left out. That both have the same
        model is for the caller to see to.

    Raises
    ------
    EstimatorError
        If the two have other tokenizers, so that they cannot have one model.
    """
    sampling = Sampling() if sampling is None else sampling
    count = 0
    for chain in chains:
        if scorer is not None and writer.tokenizer.decode(chain.reasoning_ids) != scorer.tokenizer.decode(
            chain.reasoning_ids
        ):
            raise EstimatorError(
                f"{chain.chain.where}: {writer.model_id!r} reads the ids of its reasoning as another text than "
                f"{scorer.model_id!r}; use one model for both"
            )
        model = None if scorer is None else scorer.fingerprint()
        texts = Continuations(writer, chain, sampling, folder, model=model).after(beginnings(chain))
        count += sum(map(len, texts))
    return count
