"""Linear layers whose weights lie as oneDNN wants them, once for all calls.

Torch hands a linear layer's float32 weights to MKL, which lays them out anew in each call. These
operations are what ``torch.compile`` makes of such layers, and took a tenth off a sentence
encoder's time.
"""

import torch
from torch import Tensor, nn

_ROWS = 192
"""Of an input, for which weights are laid out; others take the same bits, and longer."""


class PackedLinear(nn.Module):
    """A linear layer for inference."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Of an input (..., inputs), its outputs (..., outputs)."""
        packed: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, "none", [], ""
        )
        return packed


def pack_linear_layers(network: nn.Module) -> nn.Module:
    """The network, its linear layers packed where torch has oneDNN."""
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.Linear:
                    setattr(module, name, PackedLinear(child))
    return network
