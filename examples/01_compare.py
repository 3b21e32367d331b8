"""Compare the methods on the 20 shortest chains of a file with a real model: SmolLM2-135M-Instruct.

Run it as ``python examples/01_compare.py CHAINS BACKEND OUT [KEEP_RATIO [RANDOM]]``: GSM8K or MMLU-Pro records,
``transformer_lens`` or ``nnsight``, the folder of the run, and where greedy pruning stops. With RANDOM, the folder of
another run, the same chains are compared once more with all weights random, and that agreement stands beside the
trained model's. Killed and started again, it goes on where it stopped.
"""

import sys

import xarray as xr

import tokimp as ti
from tokimp.analysis.comparison_report import print_report
from tokimp.results.analysis_nodes import node_name
from tokimp.testing import smollm2_folder

source, backend, out, *more = sys.argv[1:]
keep_ratio = more[0] if more else "0.7"
random = more[1] if len(more) > 1 else ""
skipped: list[ti.SkippedRecord] = []
chains = [chain for chain in ti.load_chains(source, skipped=skipped) if len(chain.reasoning) >= 80]
chains = sorted(chains, key=lambda chain: len(chain.reasoning))[:20]
methods = [f"greedy:keep_ratio={keep_ratio}", "leave_one_out", "attention", "gradient", "position"]


def compared(folder: str, random_weights: str | None = None) -> xr.DataTree:
    """Return the result of the comparison, which is kept in a folder."""
    scorer = ti.load_scorer(smollm2_folder(), backend=backend, random_weights=random_weights)
    result = ti.compare(chains, scorer, methods, objective="joint", out=folder, skipped=skipped)
    ti.save(result, f"{folder}/results.nc")
    return result


result = compared(out)
control = {}
if random:
    compared(random, "all")
    control = {"random": f"{random}/results.nc"}
agreement = ti.load_analysis("agreement", **control)
result = ti.analyze(result, agreement)
ti.save(result, f"{out}/results.nc")
print_report(result, agreement=node_name(agreement))
