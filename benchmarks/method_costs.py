"""What each estimator costs: token positions, calls of the model and seconds a chain, each asked alone, in Markdown.

    python benchmarks/method_costs.py --model tiny --limit 3 --unit token --unit sentence

Positions and calls are counted by the scorer and do not depend on the machine. Calls are counted where likelihoods
are read; they are left empty where something inside the model is shown or changed, or text is written. Seconds are
the least of ``--repeats`` runs of all chains: of the processor where the model is on a CPU, so that neighbours do not
count, and by the clock elsewhere.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import torch

import tokimp as ti
from tokimp.contracts.registry import names
from tokimp.errors import TokimpError

# Weights of another run are needed for these; what they read is what `attention` reads.
NEEDS_A_FILE = ("surrogate",)
# These share their texts with each other and between units; a seed of its own lets each write them.
FROM_CONTINUATIONS = ("resample", "pivotal")


def cost(specification: str, chains: Sequence[ti.TokenizedChain], scorer: Any, objective: Any) -> tuple[float, ...]:
    """Return positions, calls and seconds of an estimator, a mean over chains."""
    estimator = ti.load_estimator(specification)
    if not estimator.requires <= scorer.capabilities:
        raise TokimpError(f"needs {', '.join(sorted(estimator.requires - scorer.capabilities))}")
    positions, calls = scorer.tokens_forwarded, scorer.work.calls
    clock = time.process_time if scorer.device == "cpu" else time.perf_counter
    began = clock()
    for chain in chains:
        estimator.estimate(chain, scorer, objective)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    seconds = clock() - began
    counted = scorer.tokens_forwarded - positions, scorer.work.calls - calls, seconds
    return tuple(number / len(chains) for number in counted)


def measure(arguments: argparse.Namespace, scorer: Any, unit: str) -> dict[str, tuple[float, ...] | str]:
    """Return what each estimator costs for one unit, or why that is not known."""
    loaded = ti.demo_chains() if arguments.chains == "demo" else ti.load_chains(arguments.chains)
    chains = [ti.tokenize_chain(chain, scorer.tokenizer, unit=unit) for chain in loaded[: arguments.limit]]
    objective = ti.load_objective(arguments.objective)
    mean = [sum(sizes) / len(chains) for sizes in zip(*((len(c.units), len(c)) for c in chains), strict=True)]
    print(f"\n{len(chains)} chains of {mean[0]:.0f} {unit} units and {mean[1]:.0f} tokens in all, on average\n")
    scorer.logprobs(chains[:1])  # what is loaded at the first call is no estimator's cost
    found: dict[str, tuple[float, ...] | str] = {}
    for name in arguments.estimator or sorted(names("estimators")):
        if name in NEEDS_A_FILE:
            found[name] = "needs a file that another run fits; reads what `attention` reads"
            continue
        try:
            runs = []
            for repeat in range(arguments.repeats):
                seed = repeat + 1000 * FROM_CONTINUATIONS.index(name) if name in FROM_CONTINUATIONS else None
                asked = name if seed is None else f"{name}:success=answer,seed={seed + 100 * len(unit)}"
                runs.append(cost(asked, chains, scorer, objective))
        except TokimpError as error:
            found[name] = " ".join(str(error).split())[:100]
            continue
        found[name] = (*runs[0][:2], min(run[2] for run in runs))
    return found


def main() -> None:
    """Measure, and print a table for each unit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--backend", default="transformer_lens")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--chains", default="demo", help="'demo', or a file")
    parser.add_argument("--limit", type=int, default=3)
    parser.add_argument("--objective", default="answer")
    parser.add_argument("--unit", action="append", help="token and sentence by default")
    parser.add_argument("--estimator", action="append", help="only these; all that are installed by default")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    scorer = ti.load_scorer(arguments.model, backend=arguments.backend, device=arguments.device, dtype="float32")
    for unit in arguments.unit or ["token", "sentence"]:
        found = measure(arguments, scorer, unit)
        print("| estimator | positions a chain | calls a chain | seconds a chain |\n|---|---|---|---|")
        known = {name: row for name, row in found.items() if not isinstance(row, str)}
        for name, (positions, calls, seconds) in sorted(known.items(), key=lambda item: item[1][0]):
            shown = f"{calls:,.0f}" if calls or not positions else ""
            print(f"| `{name}` | {positions:,.0f} | {shown} | {seconds:.3f} |")
        for name, reason in found.items():
            if isinstance(reason, str):
                print(f"| `{name}` | {reason} | | |")


if __name__ == "__main__":
    main()
