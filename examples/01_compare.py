"""Compare the methods on the 20 shortest chains of a file with a real model: SmolLM2-135M-Instruct.

Run it as ``python examples/01_compare.py CHAINS BACKEND OUT [KEEP_RATIO]``: GSM8K or MMLU-Pro records,
``transformer_lens`` or ``nnsight``, the folder of the run, and where greedy pruning stops. Killed and started again,
it goes on where it stopped.
"""

import sys

import tokimp as ti
from tokimp.analysis.comparison_report import print_report
from tokimp.testing import smollm2_folder

source, backend, out, keep_ratio = [*sys.argv[1:], "0.7"][:4]
skipped: list[ti.SkippedRecord] = []
chains = [chain for chain in ti.load_chains(source, skipped=skipped) if len(chain.reasoning) >= 80]
chains = sorted(chains, key=lambda chain: len(chain.reasoning))[:20]
scorer = ti.load_scorer(smollm2_folder(), backend=backend)
methods = [f"greedy:keep_ratio={keep_ratio}", "leave_one_out", "attention", "gradient", "position"]
result = ti.compare(chains, scorer, methods, objective="joint", out=out, skipped=skipped)
result = ti.analyze(result, "agreement")
ti.save(result, f"{out}/results.nc")
print_report(result)
