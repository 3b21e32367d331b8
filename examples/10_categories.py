"""How far a categorizer agrees with chains whose categories are known: confusion matrix, precision and recall.

``python examples/10_categories.py`` checks the rules on the embedded model's own chains; ``python
examples/10_categories.py CHAINS CATEGORIZER`` another file (``examples/08_word_problems.py`` writes one) or
categorizer, such as ``llm:model=my-model,url=http://127.0.0.1:8000/v1``.
"""

import sys

from tokimp_categorizers.label_check import confusion_matrix, precision_and_recall

import tokimp as ti
from tokimp.contracts.registry import load_categorizer

source, specification = [*sys.argv[1:], *("demo", "rules")[len(sys.argv) - 1 :]]
chains = ti.load_chains(source)
counts = confusion_matrix(chains, load_categorizer(specification))
print(f"{len(chains)} chains, {int(counts.to_numpy().sum())} words; rows: what is known, columns: {specification}")
print(counts.to_string())
print()
print(precision_and_recall(counts).round(2).to_string())
