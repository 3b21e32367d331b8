"""
Shorten a chain, and see what is lost
=====================================

Delete the least important tokens first, and watch how likely the model still finds the answer.
"""

# %%
# Greedy pruning deletes one word at a time: always the one whose deletion leaves log P(answer) highest.
import matplotlib.pyplot as plt

import tokimp as ti

chain = ti.demo_chains()[3]
result = ti.compare([chain], ti.load_scorer("tiny"), ["greedy"], objective="answer", unit="word")
for ratio in (1.0, 0.7, 0.4, 0.2):
    print(f"{ratio:.0%}: {ti.pruned_text(result, chain.id, 'greedy', keep_ratio=ratio)}")

# %%
# The same in colour: words that are gone at a keep ratio of 0.4 are struck out.
ti.show(result, chain.id, keep_ratio=0.4)

# %%
# A result keeps the log-likelihood after each deletion, in nats. NaN ends the trajectory of a chain.
((_, view),) = ti.iterate(result)
steps = view["loglik_answer"].sel(estimator="greedy").dropna("token").values
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(range(1, len(steps) + 1), steps)
axes.set(xlabel="words deleted", ylabel="log P(answer), nats", title=f"Greedy pruning of {chain.id}, objective answer")
plt.show()
