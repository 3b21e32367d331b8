"""
Ask whether a ranking is faithful
=================================

A ranking is worth something if what it calls important keeps the answer likely, better than random tokens do.
"""

# %%
# Two methods that ask the model, one that looks at attention, and two that ask nothing.
import tokimp as ti

chains = ti.demo_chains(limit=6)
methods = ["leave_one_out", "greedy", "attention", "position", "uniform"]
scorer = ti.load_scorer("tiny")
result = ti.compare(chains, scorer, methods, objective="answer", unit="word")

# %%
# The analysis keeps the most important words, from few to all, and scores the answer each time. The grey range is that
# of random orders. It loads the model that the result names, unless it is given one.
result = ti.analyze(result, "faithfulness")
axes = ti.plot.faithfulness(result)

# %%
# One number for each method: how much higher its curve lies than that of random orders, on average over keep ratios, in
# nats. Below zero, random deletion keeps more of the answer.
gain = ti.analysis_node(result, "faithfulness").sel(measure="answer", curve="least_first")
gain[["gain_mean", "gain_low", "gain_high"]].to_dataframe()[["gain_mean", "gain_low", "gain_high"]].round(2)
