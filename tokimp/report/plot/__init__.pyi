from .against_chance_rows import compared_numbers, recovery_curves
from .agreement_matrix import agreement
from .agreement_rows import agreement_between, agreement_pairs, agreement_within
from .chain_lanes import chain
from .cost_rows import cost
from .dynamics_panels import dynamics
from .effect_matrix import effect_reach, effects, effects_figure
from .faithfulness_panels import faithfulness, faithfulness_curves, faithfulness_figure
from .planted_rows import planted, planted_figure, planted_kinds
from .recovery_panels import answer_recovery
from .structure_bubbles import structure
from .style import root_figure

__all__ = [
    "agreement",
    "agreement_between",
    "agreement_pairs",
    "agreement_within",
    "answer_recovery",
    "chain",
    "compared_numbers",
    "cost",
    "dynamics",
    "effect_reach",
    "effects",
    "effects_figure",
    "faithfulness",
    "faithfulness_curves",
    "faithfulness_figure",
    "planted",
    "planted_figure",
    "planted_kinds",
    "recovery_curves",
    "root_figure",
    "structure",
]
