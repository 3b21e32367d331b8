"""Make the figures of docs/figures.md: a chain, the cost, and what analyses found, on the embedded model.

Run it as ``python examples/02_draw.py [FOLDER]``. It compares seven methods on the embedded chains, runs the analyses
that are drawn, and writes each figure as PNG (some minutes on two cores).
"""

import sys
from pathlib import Path

import tokimp as ti

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/figures")
folder.mkdir(parents=True, exist_ok=True)
scorer, chains = ti.load_scorer("tiny"), ti.demo_chains()
methods = ["greedy", "greedy:keep_ratio=0.7", "leave_one_out:effects=true", "attention", "gradient"]
result = ti.compare(chains, scorer, [*methods, "surprisal", "position"])
for analysis in ("agreement", "structure", "effects", "agreement_within"):
    result = ti.analyze(result, analysis)
for analysis in ("faithfulness", "answer_recovery", "dynamics"):
    result = ti.analyze(result, analysis, scorer=scorer)

figures = {
    "chain": ti.plot.root_figure(ti.plot.chain(result, "demo-03", methods[:4])),
    "cost": ti.plot.root_figure(ti.plot.cost(result)),
    "agreement": ti.plot.root_figure(ti.plot.agreement(result)),
    "agreement_pairs": ti.plot.root_figure(ti.plot.agreement_pairs(result)),
    "agreement_within": ti.plot.root_figure(ti.plot.agreement_within(result, most=6)),
    "faithfulness": ti.plot.faithfulness_figure(result),
    "answer_recovery": ti.plot.answer_recovery(result).figure,
    "structure": ti.plot.root_figure(ti.plot.structure(result)),
    "dynamics": ti.plot.dynamics(result).figure,
    "effects": ti.plot.effects_figure(result),
}
for name, figure in figures.items():
    figure.savefig(folder / f"{name}.png", dpi=200)
    print(folder / f"{name}.png")
