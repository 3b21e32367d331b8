"""
Work on with pandas
===================

A result is an xarray tree. One call makes a tidy table of it: a row for each token and method.
"""

# %%
# Each token of the embedded chains has a known category.
import tokimp as ti

methods = ["surprisal", "attention", "gradient"]
result = ti.compare(ti.demo_chains(), ti.load_scorer("tiny"), methods, objective="answer")
table = result.tokimp.table()
table.head()

# %%
# The mean place of each kind of token, from 0 (deleted first) to 1 (deleted last). It is not corrected for where in the
# chain such tokens stand; the analysis ``structure`` does that.
table["place"] = table["rank"] / table.groupby(["chain_id", "estimator"])["rank"].transform("max")
table.groupby(["category", "estimator"])["place"].mean().unstack().round(2)
