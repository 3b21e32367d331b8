"""
See which sentence depends on which
===================================

Importance is one number for each unit. An effect is what one unit does to another that comes later.
"""

# %%
# Leave-one-out can keep, for each deleted sentence, what every later sentence loses.
import tokimp as ti

chains = ti.demo_chains(limit=6)
estimator = "leave_one_out:effects=true"
result = ti.compare(chains, ti.load_scorer("tiny"), [estimator], objective="answer", unit="sentence")
matrix = ti.effects(result, chains[3].id, estimator)
matrix.to_pandas().round(2)

# %%
# The same as a figure: nats of log-probability that the later sentence loses when the earlier one is deleted.
axes = ti.plot.effects(result, chains[3].id)
