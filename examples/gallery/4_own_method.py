"""
Write a method of your own
==========================

A class with one method is enough. It then works with every model, analysis and figure, and on the command line.
"""

# %%
# This one looks for news: a token is important if the model did not expect it and the question does not have it.
# ``requires`` says what the method asks of the model, so that a model without it is refused before any work starts.
import numpy as np

import tokimp as ti
from tokimp.testing import check_estimator


@ti.register_estimator("news")
class News(ti.ImportanceEstimator):
    """Surprisal of the tokens that do not stand in the question."""

    name = "news"
    requires = frozenset({ti.Capability.LOGPROBS})

    def estimate(self, chain: ti.TokenizedChain, scorer: ti.Scorer, objective: ti.Objective) -> ti.Importance:
        """Return -log P of each new token, summed over each unit, in nats."""
        (logprobs,) = scorer.logprobs([chain])
        is_new = ~np.isin(chain.reasoning_ids, chain.prompt_ids)
        return ti.Importance(ti.sum_over_units(chain, -logprobs.reasoning * is_new))


# %%
# Beside built-in methods, by name.
chains = ti.demo_chains(limit=6)
result = ti.compare(chains, ti.load_scorer("tiny"), ["news", "surprisal", "leave_one_out"], unit="word")
ti.show(result, chains[0].id)

# %%
# What it agrees with, once position is partialled out.
result = ti.analyze(result, "agreement")
ti.analysis_node(result, "agreement")["mean"].sel(measure="spearman", partial=True).to_pandas().round(2)

# %%
# Before you trust a method, run the check that all built-in ones pass. It raises an error that says what is wrong.
check_estimator(News())
