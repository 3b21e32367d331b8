"""Draw one chain of the embedded model, shaded by each method's ranks, and how far the methods agree.

Run it as ``python examples/02_draw.py [FOLDER]``; it writes ``chain.png`` and ``agreement.png``, for which it
compares the four methods and position on the embedded chains (a minute on two cores).
"""

import sys
from pathlib import Path

import tokimp as ti
from tokimp.analysis.agreement.report import draw_agreement
from tokimp.report.chain_figure import draw_chain

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
folder.mkdir(parents=True, exist_ok=True)
methods = ["greedy", "leave_one_out", "attention", "gradient", "position"]
result = ti.analyze(ti.compare(ti.demo_chains(), ti.load_scorer("tiny"), methods), "agreement")
draw_chain(result, "demo-03").savefig(folder / "chain.png", dpi=160)
draw_agreement(result).savefig(folder / "agreement.png", dpi=160)
