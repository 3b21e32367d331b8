"""Compare the methods on the 20 shortest chains of a file with a real model: SmolLM2-135M-Instruct.

Run it as ``python examples/01_compare.py CHAINS BACKEND OUT``: GSM8K or MMLU-Pro records, ``transformer_lens`` or
``nnsight``, and the folder of the run. Killed and started again, it goes on where it stopped.
"""

import sys

import tokimp as ti
from tokimp.report.tables import print_report
from tokimp.testing import smollm2_folder

source, backend, out = sys.argv[1:]
skipped: list[ti.SkippedRecord] = []
chains = [chain for chain in ti.load_chains(source, skipped=skipped) if len(chain.reasoning) >= 80]
chains = sorted(chains, key=lambda chain: len(chain.reasoning))[:20]
scorer = ti.load_scorer(smollm2_folder(), backend=backend)
methods = ["greedy:keep_ratio=0.7", "leave_one_out", "attention", "gradient", "position"]
result = ti.compare(chains, scorer, methods, objective="joint", out=out, skipped=skipped)
result = ti.analyze(result, "agreement")
ti.save(result, f"{out}/results.nc")
print_report(result)
