"""How close fast greedy pruning comes to exact, and how much sooner it ends: by search width, on real chains.

    python benchmarks/closeness.py CHAINS --model MODEL --device cuda --width 16:6:8 --width 24:24:12 --out out.json

A width is ``window:beam:horizon``; ``default`` is what the estimator chooses itself. ``--call-cost 1024`` lets a CPU
make the choices that fast pruning makes on a GPU. Printed are means over chains.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tokimp as ti
from tokimp.bench.fidelity import fidelity


class Asked:
    """A scorer that counts the steps in which it is asked for deletions, with a call cost of its own if need be."""

    def __init__(self, scorer: Any, call_cost: int | None) -> None:
        self._scorer, self._call_cost, self.asked = scorer, call_cost, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    @property
    def call_cost(self) -> int:
        """Token positions that take about as long as one more call."""
        own: int = self._scorer.call_cost
        return own if self._call_cost is None else self._call_cost

    def score_deletions(self, *values: Any, **named: Any) -> Any:
        """Count, and ask the scorer."""
        self.asked += 1
        return self._scorer.score_deletions(*values, **named)

    def deletion_logprobs(self, *values: Any, **named: Any) -> Any:
        """Count, and ask the scorer."""
        self.asked += 1
        return self._scorer.deletion_logprobs(*values, **named)


def prune(
    scorer: Any, chain: Any, objective: Any, specification: str, call_cost: int | None = None
) -> tuple[Any, dict[str, float]]:
    """Return what a pruning gives, and what it takes."""
    asked = Asked(scorer, call_cost)
    before = scorer.work.calls, scorer.work.positions
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    importance = ti.load_estimator(specification).estimate(chain, asked, objective)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    cost = {"seconds": time.perf_counter() - started, "asked_a_unit": asked.asked / len(chain.units)}
    return importance, cost | {"calls": scorer.work.calls - before[0], "positions": scorer.work.positions - before[1]}


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chains")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--backend", default="nnsight")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--objective", default="joint")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--units", default="1:100000", help="only chains of so many units, LEAST:MOST")
    parser.add_argument("--call-cost", type=int, help="for fast pruning, in place of the device's own")
    parser.add_argument("--packed", action="store_true", help="read packs, on a CPU too")
    parser.add_argument("--width", action="append", default=[])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    scorer = ti.load_scorer(
        arguments.model,
        backend=arguments.backend,
        device=arguments.device,
        dtype=arguments.dtype,
        packed=arguments.packed or "auto",
    )
    print(getattr(scorer, "batching", ""))
    objective = ti.load_objective(arguments.objective)
    rows: list[dict[str, Any]] = []
    least, most = (int(bound) for bound in arguments.units.split(":"))
    tokenized = (ti.tokenize_chain(chain, scorer.tokenizer) for chain in ti.load_chains(arguments.chains))
    suitable = (tokens for tokens in tokenized if least <= len(tokens.units) <= most)
    for tokens in itertools.islice(suitable, arguments.limit):
        (whole,) = scorer.logprobs([tokens])
        unpruned = float(whole.answer.sum() + (0.0 if arguments.objective == "answer" else whole.reasoning.sum()))
        exact, cost = prune(scorer, tokens, objective, "greedy:strategy=exact")
        for width in arguments.width or ["default"]:
            more = "" if width == "default" else ",window={},beam={},horizon={}".format(*width.split(":"))
            fast, fast_cost = prune(scorer, tokens, objective, f"greedy:strategy=fast{more}", arguments.call_cost)
            near = fidelity(fast, exact, unpruned, objective)
            rows.append(
                {
                    "chain": tokens.chain.id,
                    "units": len(tokens.units),
                    "width": width,
                    "overlap": near.kept_overlap,
                    "gap": near.mean_gap / near.exact_range,
                    "spearman": near.spearman,
                    **{f"exact_{name}": value for name, value in cost.items()},
                    **{f"fast_{name}": value for name, value in fast_cost.items()},
                }
            )
            print(
                {name: round(value, 3) if isinstance(value, float) else value for name, value in rows[-1].items()},
                flush=True,
            )
    for width in dict.fromkeys(row["width"] for row in rows):
        mine = [row for row in rows if row["width"] == width]
        means = {
            name: round(float(np.mean([row[name] for row in mine])), 3)
            for name in rows[0]
            if name not in ("chain", "width")
        }
        print(f"mean of {len(mine)} chains, width {width}: {means}")
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
