"""The rate at which a device multiplies matrices, of which the scoring loop's rate is a share."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from tokimp.models.forward_work import ModelSize

# Rows and columns of the large square product.
_SIDE_ON_CPU, _SIDE_ON_OTHERS = 2048, 8192
_REPETITIONS, _LEAST_SECONDS = 5, 0.3


@dataclass(frozen=True, slots=True)
class MatmulRate:
    """The best rate measured for one product of matrices, [rows, inner] by [inner, columns].

    Attributes
    ----------
    name
        ``square`` or ``mlp``.
    rows, inner, columns
        Sizes of the matrices.
    operations_per_second
        Additions and multiplications (FLOP) a second, in the fastest of several runs.
    """

    name: str
    rows: int
    inner: int
    columns: int
    operations_per_second: float


def matmul_rates(device: str, dtype: torch.dtype, size: ModelSize, rows: int) -> list[MatmulRate]:
    """Measure two products: a large square one, and one as in the model's MLP for a full batch.

    Threads are torch's own, as in the scoring loop.

    Parameters
    ----------
    device
        Device on which to multiply.
    dtype
        Precision of the matrices.
    size
        Size of the model, whose MLP gives the second product its shape.
    rows
        Token positions of a full batch.
    """
    side = _SIDE_ON_CPU if torch.device(device).type == "cpu" else _SIDE_ON_OTHERS
    shapes = {"square": (side, side, side), "mlp": (rows, size.hidden, size.intermediate)}
    return [MatmulRate(name, *shape, _best_rate(device, dtype, shape)) for name, shape in shapes.items()]


def _best_rate(device: str, dtype: torch.dtype, shape: tuple[int, int, int]) -> float:
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(rows, inner, generator=generator).to(device=device, dtype=dtype)
    right = torch.randn(inner, columns, generator=generator).to(device=device, dtype=dtype)
    out = left @ right
    times: list[float] = []
    while len(times) < _REPETITIONS or sum(times) < _LEAST_SECONDS:
        synchronize(device)
        begin = time.perf_counter()
        torch.mm(left, right, out=out)
        synchronize(device)
        times.append(time.perf_counter() - begin)
    return 2 * rows * inner * columns / min(times)


def synchronize(device: str) -> None:
    """Wait until a device has finished its work, so that a clock read next counts it."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()
