"""Where the seconds of exact greedy pruning go: torch's profiler on the first steps of one GSM8K chain, SmolLM2.

``OMP_NUM_THREADS=1 python examples/12_profile.py CHAINS ID [KEEP_RATIO [BACKEND [batches|packs]]]``. Rates are of
processor time, so that busy neighbours do not count. `tokimp bench` divides the time into coarser parts, on any model.
The rate of a large product is measured before and after each of two prunings, since that of a virtual machine's core
changes by a fifth within minutes; each pruning's rate is divided by the mean of the two measured around it.
"""

import sys
import time

import torch
from tokimp_greedy import GreedyPruning
from torch.profiler import ProfilerActivity, profile

import tokimp as ti
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.testing import smollm2_folder

defaults = ("0.85", "transformer_lens", "batches")
source, chain_id, keep_ratio, backend, reading = (*sys.argv[1:], *defaults[len(sys.argv) - 3 :])
torch.set_num_threads(1)
scorer = ti.load_scorer(smollm2_folder(), backend=backend, packed=reading == "packs")
if not isinstance(scorer, CausalLMScorer):
    raise SystemExit(f"the backend {backend} has no caches that could be told to begin anew")
chain = next(chain for chain in ti.load_chains(source) if chain.id == chain_id)
tokens = ti.tokenize_chain(chain, scorer.tokenizer)
pruning = GreedyPruning(keep_ratio=float(keep_ratio), strategy="exact")
one, other = torch.randn(2048, 2048), torch.randn(2048, 2048)


def product_rate() -> float:
    """Return how many operations a second of processor time a product of two 2048 x 2048 matrices makes."""
    began = time.process_time()
    for _ in range(20):
        one @ other
    return 20 * 2 * 2048**3 / (time.process_time() - began)


pruning.estimate(tokens, scorer, ti.load_objective("joint"))
product_rate()
rates = [product_rate()]
for _ in range(2):
    measured = scorer.reusing(reuse_kv=True)
    began = time.process_time()
    pruning.estimate(tokens, measured, ti.load_objective("joint"))
    seconds = time.process_time() - began
    rates.append(product_rate())
    rate, best = measured.work.operations(measured.size) / seconds, (rates[-2] + rates[-1]) / 2
    print(f"{measured.tokens_forwarded} positions, {measured.work.calls} calls, {seconds:.1f} s of processor time")
    print(
        f"{rate / 1e9:.1f} GFLOP/s, {rate / best:.0%} of the {best / 1e9:.1f} of a product of two 2048 x 2048 matrices"
    )
with profile(activities=[ProfilerActivity.CPU]) as profiled:
    pruning.estimate(tokens, measured, ti.load_objective("joint"))
print(profiled.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=30))
