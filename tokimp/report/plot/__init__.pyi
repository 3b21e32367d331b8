from .agreement_matrix import agreement
from .faithfulness_panels import faithfulness, faithfulness_curves, faithfulness_figure

__all__ = ["agreement", "faithfulness", "faithfulness_curves", "faithfulness_figure"]
