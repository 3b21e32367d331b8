"""Say how many times fewer token positions a finished run of greedy pruning passed than the paper's procedure would.

Run it as ``python examples/03_positions.py RUN/results.nc``. From scratch, a step with n units left passes n sequences
of prompt, reasoning and answer through the model; units are single tokens here.
"""

import sys

import numpy as np

import tokimp as ti

result = ti.load(sys.argv[1]).to_dataset()
greedy = next(label for label in result["estimator"].to_numpy().tolist() if label.startswith("greedy"))
published = 0
for index in range(result.sizes["chain"]):
    chain = result.isel(chain=index)
    around = int(chain["prompt_length"]) + int(chain["answer_length"])
    removed = result["loglik_joint"].sel(estimator=greedy).to_numpy()[result["chain_index"].to_numpy() == index]
    n = int(chain["reasoning_length"])
    published += sum(k * (around + k) for k in range(n, n - int(np.isfinite(removed).sum()), -1))
passed = int(result["tokens_forwarded"].sel(estimator=greedy).sum())
print(f"{greedy}: {passed:,} positions passed, {published:,} from scratch: {published / passed:.2f} times fewer")
