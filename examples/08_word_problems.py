"""Write word problems whose categories and planted filler are known, as chains.

Run ``python examples/08_word_problems.py FILE N``. These are test problems: the embedded model was not trained on them.
"""

import json
import sys
from pathlib import Path

from tokimp.chains.datasets.word_problems import generate

chains = [
    {
        "id": f"problem-{number:03d}",
        "question": problem.question,
        "reasoning": problem.reasoning,
        "answer": problem.answer,
        "gold": problem.gold,
        "category": [{"start": start, "end": end, "label": label} for start, end, label in problem.categories],
        "filler": [{"start": start, "end": end} for start, end in problem.filler],
    }
    for number, problem in enumerate(generate(int(sys.argv[2]), seed=0, split="test"))
]
Path(sys.argv[1]).write_text("".join(json.dumps(chain) + "\n" for chain in chains), encoding="utf-8")
