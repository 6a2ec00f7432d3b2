"""An encoder layer by layer: what fine-tuning keeps of a pretrained one, and how fast each layer learns."""

from typing import Any

from torch import Tensor, nn

from .errors import SettingsError
from .layers import AtomEncoder


def kept_weights(encoder: nn.Module, keep: int | None) -> dict[str, Tensor]:
    """The weights that fine-tuning takes from an encoder.

    Args:
        encoder: pretrained.
        keep: so many of its blocks and the embedding of atoms; None for everything.

    Raises:
        SettingsError: the encoder has fewer blocks, or none that are known.
    """
    weights = encoder.state_dict()
    if keep is None:
        return weights
    layered = with_depth(encoder)
    if keep > len(layered.convs):
        blocks = len(layered.convs)
        raise SettingsError(f"keep is {keep}, but the encoder has {blocks} blocks; without a number it is kept whole.")
    return {name: value for name, value in weights.items() if layered.depth(name) <= keep}


def encoder_groups(encoder: nn.Module, rate: float, decay: float) -> list[dict[str, Any]]:
    """Weights and full rates of an encoder for the optimiser.

    Args:
        encoder: to train.
        rate: of its read-out layer.
        decay: the rate of each layer over that of the one above it; with 1 there is one group.

    Raises:
        SettingsError: the rates fall, and the encoder has no layers that are known.
    """
    if decay == 1:  # in one group, as saved states have it
        return [{"params": list(encoder.parameters()), "full_rate": rate}]
    layered = with_depth(encoder)
    layers: dict[int, list[nn.Parameter]] = {}
    for name, weights in layered.named_parameters():
        layers.setdefault(layered.depth(name), []).append(weights)
    top = max(layers)
    return [{"params": layers[depth], "full_rate": rate * decay ** (top - depth)} for depth in sorted(layers)[::-1]]


def with_depth(encoder: nn.Module) -> AtomEncoder:
    """The encoder, if it says which of its layers are how deep.

    Raises:
        SettingsError: it does not.
    """
    if not isinstance(encoder, AtomEncoder):
        raise SettingsError(f"keep and layer_decay need an encoder made of blocks; {type(encoder).__name__} is none.")
    return encoder
