"""How close fast greedy pruning comes to the exact run, and at what cost: GSM8K and SmolLM2-135M-Instruct.

``python examples/05_fast.py CHAINS OUT FIRST COUNT [LEAST MOST]`` prunes COUNT chains, from the FIRST one on (0 is the
first) of those with LEAST to MOST reasoning tokens (60 to 75), by both strategies, and keeps the result in OUT;
``python examples/05_fast.py OUT ...`` reads the results of one or several such runs and prints what they say.
"""

import sys
from pathlib import Path

import numpy as np

import tokimp as ti
from tokimp.testing import smollm2_folder

METHODS = ["greedy:strategy=exact", "greedy:strategy=fast"]
COLUMNS = ("tokens", "exact", "fast", "gap %", "overlap", "Spearman", "audit")


def prune(source: str, out: str, first: int, count: int, *between: int) -> None:
    """Prune some chains by both strategies."""
    least, most = between or (60, 75)
    scorer = ti.load_scorer(smollm2_folder(), backend="transformer_lens")
    chains = [chain for chain in ti.load_chains(source) if 2 * least < len(chain.reasoning) < 6 * most]
    lengths = {chain.id: len(ti.tokenize_chain(chain, scorer.tokenizer).reasoning_ids) for chain in chains}
    chosen = [chain for chain in chains if least <= lengths[chain.id] <= most][first : first + count]
    ti.save(ti.compare(chosen, scorer, METHODS, objective="joint", out=out), f"{out}/results.nc")


def rows(folder: str) -> list[list[float]]:
    """Return one row of `COLUMNS` a chain."""
    result = ti.load(f"{folder}/results.nc").to_dataset()
    exact, fast = (result.sel(estimator=method) for method in METHODS)
    table_rows = []
    for index in range(result.sizes["chain"]):
        tokens = np.flatnonzero(result.chain_index.values == index)
        n = len(tokens)
        around = int(result.prompt_length[index] + result.answer_length[index])
        scratch = sum(kept * (around + kept) for kept in range(1, n + 1))
        ranks = [run["rank"].values[tokens] for run in (exact, fast)]
        paths = [
            run.loglik_joint.values[tokens][np.argsort(rank)] for run, rank in zip((exact, fast), ranks, strict=True)
        ]
        seen = np.append(paths[0], result.full_loglik_joint.values[index])
        kept = [set(np.flatnonzero(rank >= n - n // 2).tolist()) for rank in ranks]
        table_rows.append(
            [
                n,
                scratch / float(exact.tokens_forwarded[index]),
                scratch / float(fast.tokens_forwarded[index]),
                100 * float(np.mean(paths[0] - paths[1])) / float(np.ptp(seen)),
                len(kept[0] & kept[1]) / (n // 2),
                float(np.corrcoef(ranks)[0, 1]),
                float(fast.diagnostic_audit_agreement[index]),
            ]
        )
    return table_rows


if Path(sys.argv[1]).is_dir():
    table = np.array([row for folder in sys.argv[1:] for row in rows(folder)])
    print("positions: times fewer than from scratch; gap: mean, of the exact run's range of joint log-likelihoods")
    print("".join(f"{name:>10}" for name in COLUMNS))
    for row in [*table, table.mean(axis=0)]:
        print("".join(f"{value:10.2f}" for value in row))
else:
    prune(sys.argv[1], sys.argv[2], *(int(number) for number in sys.argv[3:]))
