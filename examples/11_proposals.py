"""What a fast greedy step should look at: proposals tried on recorded exact runs (GSM8K, SmolLM2-135M-Instruct, joint).

``python examples/11_proposals.py record CHAINS OUT FIRST COUNT [LEAST MOST]`` prunes chains exactly, as
``examples/05_fast.py`` chooses them, and keeps every log-probability of every step in OUT;
``python examples/11_proposals.py try OUT`` replays proposals on them. A proposal sees what it asks for, its choice is
compared with the best of all, and the exact run goes on: *lost* adds up what the choices would have lost, as a share
of all that the exact run loses; *fewer* counts positions as a scorer that reads nothing twice would pass them, beside
scoring from scratch. No step is audited.
``python examples/11_proposals.py sentences CHAINS OUT [COUNT]`` prunes the (first COUNT) chains of OUT once more,
sentences first: each step scores the tokens of the sentences that cost least, and prints how far the likelihood kept
(*gap*, the mean along the way as a share of the exact run's range) and the kept sets at 0.5 (*overlap*) are from the
exact run's.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

import tokimp as ti
from tokimp.contracts.objective import Joint
from tokimp.models.deletion.plan import plan_deletions
from tokimp.testing import smollm2_folder

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]


def record(source: str, out: str, first: int, count: int, *between: int) -> None:
    """Prune chains exactly; write one file a chain: order, sizes, and [token, token] effects of every step."""
    least, most = between or (60, 75)
    scorer = ti.load_scorer(smollm2_folder(), backend="transformer_lens")
    tokenized = (
        ti.tokenize_chain(chain, scorer.tokenizer)
        for chain in ti.load_chains(source)
        if 2 * least < len(chain.reasoning) < 6 * most
    )
    chosen = [chain for chain in tokenized if least <= len(chain.reasoning_ids) <= most][first : first + count]
    for chain in chosen:
        kept, steps = list(range(len(chain.reasoning_ids))), {}
        order: list[int] = []
        while kept:
            rows = scorer.deletion_logprobs(chain, kept, [*((token,) for token in kept), ()])
            base = rows[-1].astype(np.float64)
            effects = rows[:-1] - base
            np.fill_diagonal(effects, -base[: len(kept)])  # a deleted token's own log-probability is gained
            steps[f"step{len(order)}"] = effects.astype(np.float32)
            order.append(kept.pop(int(effects.sum(axis=1).argmax())))
        sizes = np.array([len(chain.prompt_ids), len(chain.answer_ids)])
        Path(out).mkdir(parents=True, exist_ok=True)
        np.savez_compressed(Path(out) / f"{chain.id}.npz", order=order, sizes=sizes, **steps)
        print(chain.id, len(order), flush=True)


@dataclass(frozen=True)
class Proposal:
    """What a step looks at: units near the last deletion read up to `horizon` tokens beyond it, the best read whole.

    Without `remembers` a unit is judged by its last whole score alone; with it, token by token. `near` units on either
    side of the deletion are read whole in any case.
    """

    beam: int
    window: int = 0
    horizon: int = 0
    near: int = 0
    remembers: bool = True


@dataclass
class Replay:
    """One exact run, and what a proposal has seen of it."""

    path: Path
    positions: int = 0
    lost: float = 0.0
    total: float = 0.0
    agreed: int = 0
    valid: dict[int, int] = field(default_factory=dict)

    def run(self, proposal: Proposal) -> tuple[float, float, float]:
        """Return from-scratch positions over positions passed, the share lost, and the share of best choices."""
        data = np.load(self.path)
        order, (prompt, answer) = data["order"], data["sizes"]
        count = len(order)
        known, last = np.zeros((count, count + answer)), np.zeros(count)
        ends = count + np.arange(answer)
        self.positions = prompt + count
        for step, going in enumerate(order):
            kept = np.sort(order[step:])
            effects, columns = data[f"step{step}"].astype(np.float64), np.append(kept, ends)
            scores = effects.sum(axis=1)
            if step:
                gone = int(order[step - 1])
                place = int(np.searchsorted(kept, gone))
                known[:, gone] = 0  # what a unit did to a token that has gone is over
                known[kept, kept] = np.diag(effects)  # and its own log-probability is read with what is kept
                self.valid = {unit: min(end, place) for unit, end in self.valid.items()}
                looked = self._look(proposal, kept, effects, columns=columns, known=known, place=place)
                judged = known[kept][:, columns].sum(axis=1) if proposal.remembers else last[kept]
                looked = np.union1d(looked, np.argsort(-judged, kind="stable")[: proposal.beam])
            else:
                looked = np.arange(count)
            self._pass(looked, kept, len(columns))
            known[kept[looked][:, None], columns] = effects[looked]
            last[kept[looked]] = scores[looked]
            chosen = scores[looked].max()
            self.lost += scores.max() - chosen
            self.agreed += bool(chosen == scores.max())
            self.total -= scores[np.searchsorted(kept, going)]
        scratch = sum(left * (prompt + left - 1 + answer) for left in range(1, count + 1))
        return scratch / self.positions, self.lost / abs(self.total), self.agreed / count

    def _look(
        self, proposal: Proposal, kept: Ints, effects: Floats, *, columns: Ints, known: Floats, place: int
    ) -> Ints:
        sides = (
            np.arange(max(0, place - proposal.window), place),
            np.arange(place, min(len(kept), place + proposal.window)),
        )
        for side in sides:
            if len(side):
                end = min(max(place, side[-1] + 1) + proposal.horizon, len(columns))
                self._pass(side, kept, end)
                known[kept[side][:, None], columns[:end]] = effects[side, :end]
        return np.arange(max(0, place - proposal.near), min(len(kept), place + proposal.near))

    def _pass(self, places: Ints, kept: Ints, end: int) -> None:
        """Count the positions of reading units from where their past is new; a call costs as much as 16 of them."""
        starts = [min(max(int(place), self.valid.get(int(kept[place]), 0)), end - 1) for place in places]
        batches = plan_deletions(starts, [end] * len(starts), max_positions=10**6, call_cost=16)
        self.positions += sum(batch.positions for batch in batches)
        self.valid |= {int(kept[place]): end for place in places}


LOOKS = (
    *((8, 4, 4), (8, 8, 6), (12, 6, 6), (16, 2, 4), (16, 4, 4), (16, 4, 6)),
    *((16, 8, 4), (16, 8, 6), (24, 4, 4), (24, 8, 10), (32, 12, 12)),
)
PROPOSALS = {
    "last whole scores, beam 8, 2 on each side": Proposal(8, near=2, remembers=False),
    "last whole scores, beam 12, 4 on each side": Proposal(12, near=4, remembers=False),
    "last whole scores, beam 24, 4 on each side": Proposal(24, near=4, remembers=False),
    "remembered by token, beam 8, 2 on each side": Proposal(8, near=2),
    "remembered by token, beam 12, 2 on each side": Proposal(12, near=2),
} | {f"the same, look: window {w}, horizon {h}, beam {b}": Proposal(b, w, h) for w, h, b in LOOKS}


def two_at_once(path: Path) -> float:
    """Return the share lost if every other step also deletes the second best unit of the step before."""
    data = np.load(path)
    order, lost, total = data["order"], 0.0, 0.0
    for step, going in enumerate(order):
        kept, scores = np.sort(order[step:]), data[f"step{step}"].astype(np.float64).sum(axis=1)
        total -= scores.max()
        if step + 1 < len(order):
            second = kept[np.where(kept == going, -np.inf, scores).argmax()]
            after = data[f"step{step + 1}"].astype(np.float64).sum(axis=1)
            lost += (after.max() - after[np.searchsorted(np.sort(order[step + 1 :]), second)]) / 2
    return lost / abs(total)


def sentences_first(chain: ti.TokenizedChain, scorer: ti.Scorer, most: int) -> tuple[list[int], Floats, int]:
    """Delete token by token, from the `most` sentences whose whole deletion costs least; 0 finishes one first.

    Returns
    -------
    tuple
        The order, the joint log-likelihood after each deletion, and the number of deletions scored.
    """
    kept, scored = list(range(len(chain.reasoning_ids))), 0
    sentences = [set(unit) for unit in ti.load_unit("sentence").split(chain.chain.reasoning, chain.reasoning_offsets)]
    begun: set[int] = set()
    order, path = [], []
    while kept:
        left = [sorted(sentence.intersection(kept)) for sentence in sentences if sentence.intersection(kept)]
        if begun.intersection(kept):
            looked = sorted(begun.intersection(kept))
        else:
            whole = scorer.score_deletions(chain, kept, left, Joint()).objective
            cheapest = np.argsort(-whole, kind="stable")[: max(1, most)]
            looked = sorted(token for index in cheapest for token in left[index])
            begun = set(looked) if not most else set()
            scored += len(left)
        scores = scorer.score_deletions(chain, kept, [(token,) for token in looked], Joint()).objective
        scored += len(looked)
        best = int(scores.argmax())
        kept.remove(looked[best])
        order.append(looked[best])
        path.append(float(scores[best]))
    return order, np.array(path), scored


def try_sentences(source: str, out: str, count: int | None = None) -> None:
    """Prune the recorded chains sentences first; print how far that is from the exact runs."""
    scorer = ti.load_scorer(smollm2_folder(), backend="transformer_lens")
    chains = {chain.id: chain for chain in ti.load_chains(source)}
    figures: dict[int, list[list[float]]] = {}
    for path in sorted(Path(out).glob("*.npz"))[:count]:
        data = np.load(path)
        length = len(exact := data["order"])
        chain = ti.tokenize_chain(chains[path.stem], scorer.tokenizer)
        full = float(scorer.score_deletions(chain, range(length), [()], Joint()).objective[0])
        steps = [data[f"step{step}"].sum(axis=1, dtype=np.float64).max() for step in range(length)]
        best = full + np.cumsum(steps)
        for most in (0, 1, 2, 3):
            order, after, scored = sentences_first(chain, scorer, most)
            gap = float(np.mean(best - after) / np.ptp(np.append(best, full)))
            overlap = len(set(order[-(length // 2) :]) & set(exact[-(length // 2) :].tolist())) / (length // 2)
            figures.setdefault(most, []).append([gap, overlap, length * (length + 1) / 2 / scored])
            print(path.stem, most, *(f"{value:.3f}" for value in figures[most][-1]), flush=True)
    for most, rows in figures.items():
        gap, overlap, fewer = np.mean(rows, axis=0)
        name = f"tokens of the {most} cheapest sentences" if most else "one sentence after the other"
        print(f"{name:40} gap {gap:.3f}  overlap {overlap:.2f}  deletions scored, times fewer {fewer:.1f}")


if sys.argv[1] == "record":
    record(sys.argv[2], sys.argv[3], *(int(number) for number in sys.argv[4:]))
elif sys.argv[1] == "sentences":
    try_sentences(sys.argv[2], sys.argv[3], *(int(number) for number in sys.argv[4:]))
else:
    runs = sorted(Path(sys.argv[2]).glob("*.npz"))
    print(f"{len(runs)} runs; means")
    for name, proposal in PROPOSALS.items():
        fewer, lost, agreed = np.mean([Replay(path).run(proposal) for path in runs], axis=0)
        print(f"{name:60} fewer {fewer:5.1f}  lost {lost:.3f}  best choice {agreed:.3f}", flush=True)
    print(f"{'two deletions a step, exact scores':60} lost {np.mean([two_at_once(path) for path in runs]):.3f}")
