"""What greedy pruning costs on a model, a device and a chain: `measure_chain`, and `tokimp bench` around it."""

from tokimp.bench.fidelity import Fidelity
from tokimp.bench.growth import truncate
from tokimp.bench.matmul import MatmulRate, matmul_rates
from tokimp.bench.measurement import ChainCost, WayCost, measure_chain
from tokimp.bench.record import Bench, surroundings
from tokimp.bench.reuse_modes import FAST, Way

__all__ = [
    "FAST",
    "Bench",
    "ChainCost",
    "Fidelity",
    "MatmulRate",
    "Way",
    "WayCost",
    "matmul_rates",
    "measure_chain",
    "surroundings",
    "truncate",
]
