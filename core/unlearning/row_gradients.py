"""The gradients of single rows with respect to one layer's weights, a part at a time.

All of them together, n times p numbers, are what a linearised network never stores.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearning.piecewise_linear import Convolution


def row_gradients(
    layer: Convolution, visits: Sequence[tuple[Tensor, Tensor]], most_bytes: int
) -> Iterator[NDArray[Any]]:
    """Each row's sum of dy [x, 1]' over positions, flat, for some of the layer's outputs each.

    Args:
        layer: the layer.
        visits: x and dy of all rows, in blocks of them.
        most_bytes: of a part, if one output takes no more.

    Yields:
        Arrays of shape (n, part), whose columns are together those of the layer's weights.
    """
    groups, _, inputs = layer.shape
    n = sum(len(x) for x, _ in visits)
    x = torch.cat([_by_row(layer.inputs(x), len(x)) for x, _ in visits])
    dy = torch.cat([_by_row(layer.outputs(dy), len(x)) for x, dy in visits])
    size = max(1, most_bytes // (n * groups * inputs * x.element_size()))
    for signals in torch.split(dy, size, dim=3):
        part = signals.mT @ x
        yield np.asarray(part.reshape(n, -1).cpu())


def _by_row(values: Tensor, n: int) -> Tensor:
    """From (groups, positions of all rows, k) to (n, groups, positions, k)."""
    groups, positions, k = values.shape
    return values.view(groups, n, positions // n, k).transpose(0, 1)
