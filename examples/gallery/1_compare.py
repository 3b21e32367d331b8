"""
Compare four methods, and read one chain
========================================

Four methods rank the tokens of the same chains on the same model. How far do they agree?
"""

# %%
# A chain is a question, the reasoning that followed and the answer. These were written by the embedded model, which
# solves word problems by writing its steps out.
import tokimp as ti

chains = ti.demo_chains(limit=6)
print(chains[0].question, chains[0].reasoning, chains[0].answer, sep="\n")

# %%
# Each method gives each token an importance. What is to be preserved here is log P(reasoning, answer), the default.
methods = ["greedy", "leave_one_out", "attention", "gradient", "position"]
result = ti.compare(chains, ti.load_scorer("tiny"), methods)

# %%
# One chain, a lane for each method: the darker a token, the later the method would delete it.
ti.show(result, chains[0].id)

# %%
# The same as a table. ``greedy`` and ``leave_one_out`` ask what the model loses; ``attention`` and ``gradient`` look
# inside it.
ti.top_units(result, chains[0].id, "greedy", n=5)

# %%
# Agreement is the mean rank correlation over chains. Position is partialled out: two methods that only share a taste
# for late tokens do not agree. Six chains are few, so look at the intervals.
result = ti.analyze(result, "agreement")
agreement = ti.analysis_node(result, "agreement")
beyond_position = agreement["mean"].sel(measure="spearman", partial=True)
beyond_position.to_pandas().round(2)

# %%
# The figure of the same numbers.
axes = ti.plot.agreement(result)
