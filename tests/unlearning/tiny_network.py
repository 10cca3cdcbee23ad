"""A small network of every kind of layer, and its Jacobian by automatic differentiation."""

import numpy as np
import torch
from torch.nn.functional import conv2d, relu6

from unlearning.piecewise_linear import (
    AveragePool,
    Depthwise,
    Pointwise,
    ReLU6,
    Residual,
    Sequential,
)
from unlearning.tangent import Entrance, TangentLinearization

CHANNELS, HIDDEN, CLASSES, SIZE = 3, 4, 2, 3
WIDTH = CHANNELS * SIZE**2 + 1
UNIT = 2.0**-11
SHAPES = [
    (CHANNELS, CHANNELS),
    (HIDDEN, CHANNELS),
    (HIDDEN, 3, 3),
    (CHANNELS, HIDDEN),
    (5, CHANNELS),
    (CLASSES, 5),
]


def weights():
    random = np.random.default_rng(5)
    return [(random.normal(size=shape), random.normal(size=shape[0])) for shape in SHAPES]


def layers(dtype):
    first, expand, kernels, project, head, classifier = (
        tuple(torch.tensor(part, dtype=dtype) for part in layer) for layer in weights()
    )
    return Sequential(
        Pointwise(*first),
        Residual(Pointwise(*expand), ReLU6(), Depthwise(*kernels, 1), ReLU6(), Pointwise(*project)),
        Pointwise(*head),
        ReLU6(),
        AveragePool(),
        Pointwise(*classifier),
    )


def linearization():
    return TangentLinearization(layers, Entrance(CHANNELS, SIZE, UNIT))


def rows(n, seed=0):
    return np.random.default_rng(seed).integers(-4000, 4000, (n, WIDTH)).astype(np.int16)


def dense(psi):
    """J, shape (n, C, p), in float64."""
    flat = np.concatenate(
        [np.column_stack([W.reshape(len(W), -1), b]).ravel() for W, b in weights()]
    )

    def forward(w, x):
        parts = []
        for shape in SHAPES:
            matrix = w[: shape[0] * (int(np.prod(shape[1:])) + 1)].view(shape[0], -1)
            w = w[matrix.numel() :]
            parts.append((matrix[:, :-1].reshape(shape), matrix[:, -1]))
        (W0, b0), (W1, b1), (W2, b2), (W3, b3), (W4, b4), (W5, b5) = parts
        x = conv2d(x, W0[:, :, None, None], b0)
        h = relu6(conv2d(x, W1[:, :, None, None], b1))
        h = relu6(conv2d(h, W2[:, None], b2, padding=1, groups=HIDDEN))
        h = conv2d(h, W3[:, :, None, None], b3) + x
        h = relu6(conv2d(h, W4[:, :, None, None], b4)).mean((2, 3))
        return h @ W5.T + b5

    x = torch.tensor(psi[:, :-1] * UNIT).view(-1, CHANNELS, SIZE, SIZE)
    return torch.func.jacrev(forward)(torch.tensor(flat), x).numpy()
