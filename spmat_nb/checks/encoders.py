"""Checks of the exercises about encoders: parameters, pooling, one gated message, the order of the atoms."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from ..feedback import Mistake, check
from ..graphs import Batch
from .compare import as_tensor, compare

if TYPE_CHECKING:
    from pymatgen.core import Structure

SIZES = ((64, 41), (10, 7))  # F, K: CGCNN's, and others so that a fixed number is found out
TOLERANCE = 1e-3  # of "does not change", far above rounding in single precision


def _parameters(f: int, k: int) -> tuple[int, dict[str, int]]:
    """The right count, and what each usual mistake gives."""
    row, norms = 2 * f + k, 2 * 2 * f + 2 * f
    right = row * 2 * f + 2 * f + norms
    return right, {
        "Only the linear layer is counted: each batch norm has a weight and a bias for every feature too.": right
        - norms,
        "The linear layer has a bias, one for each of its 2 F outputs.": right - 2 * f,
        "Only the weights of the linear layer are counted: add its bias and the two batch norms.": row * 2 * f,
        "The layer makes 2 F values, F for the filter and F for the core.": row * f + f + 2 * f + 2 * f,
        "The first batch norm works on 2 F features (filter and core), the second on F.": right - 2 * f,
        "z has both atoms of the edge: 2 F + K values, not F + K.": (f + k) * 2 * f + 2 * f + norms,
        "Running means and variances are kept, not trained: a batch norm has two parameters a feature.": right
        + 2 * 2 * f
        + 2 * f,
        "All 12 neighbours go through the same weights.": row * 2 * f * 12 + 2 * f + norms,
        "One convolution is asked for, not three.": 3 * right,
    }


@check("parameters of a convolution", praise="The count does not depend on the number of atoms or neighbours.")
def check_parameters(answer: Callable[[int, int], int]) -> None:
    """`answer(features, gaussians)` counts the trainable numbers of one `GatedConvolution`."""
    for f, k in SIZES:
        right, mistakes = _parameters(f, k)
        compare(
            f"features={f}, gaussians={k}",
            answer(f, k),
            torch.tensor(right),
            {words: torch.tensor(count) for words, count in mistakes.items()},
            "Write down the shape of each parameter: fc_full.weight, fc_full.bias, and weight and bias of bn1 and bn2.",
        )


@check("mean pooling", praise="The size of the cell no longer matters: a supercell has the same mean.")
def check_mean_pool(answer: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """`answer(atoms, crystal, size)` is the mean over the atoms of each crystal, [N, F] to [B, F]."""
    atoms = torch.tensor([[1.0, 2.0], [3.0, 8.0], [5.0, 2.0], [7.0, 6.0], [9.0, 4.0], [2.0, 4.0]])
    crystal = torch.tensor([0, 1, 1, 1, 2, 2])
    parts = [atoms[crystal == number] for number in range(3)]
    total = torch.stack([part.sum(0) for part in parts])
    mistakes = {
        "This is the sum: divide by the number of atoms of each crystal, or a supercell would count double.": total,
        "This is the mean of the whole batch: each crystal has its own, see `crystal`.": atoms.mean(0),
        "Each crystal has its own number of atoms (here 1, 3 and 2); you divided all of them by the same.": total / 2,
        "You divided by the number of crystals, not by the atoms of each.": total / 3,
        "You divided by the number of all atoms.": total / 6,
        "This is the largest value of each feature, not the mean.": torch.stack([part.max(0)[0] for part in parts]),
        "The mean is over the atoms, not over their features.": torch.stack([part.mean() for part in parts]),
        "Rows are crystals, columns are features: transpose it.": torch.stack([part.mean(0) for part in parts]).T,
        "You gave each atom its crystal's mean: one row a crystal is wanted.": torch.stack(
            [part.mean(0) for part in parts]
        )[crystal],
    }
    compare(
        "six atoms in three crystals of 1, 3 and 2 atoms",
        answer(atoms, crystal, 3),
        torch.stack([part.mean(0) for part in parts]),
        mistakes,
        "Add up the rows of each crystal with index_add, count its atoms with bincount, divide.",
    )


def _message(z: Tensor, weight: Tensor, bias: Tensor, f: int) -> Tensor:
    total = weight @ z + bias
    return torch.sigmoid(total[:f]) * functional.softplus(total[f:])


@check("one gated message", praise="The gate says how much, the core says what.")
def check_gated_message(answer: Callable[..., Tensor]) -> None:
    """`answer(v_i, v_j, u, weight, bias)` is the message of one edge without batch norms: [F], [F], [K] to [F]."""
    f, k, draw = 3, 4, torch.Generator().manual_seed(0)
    v_i, v_j, u = (torch.randn(n, generator=draw) for n in (f, f, k))
    weight, bias = (torch.randn(2 * f, *rest, generator=draw) for rest in ((2 * f + k,), ()))
    z = torch.cat([v_i, v_j, u])
    total = weight @ z + bias
    first, second = total[:f], total[f:]
    mistakes = {
        "Filter and core are exchanged: the first F values go through the sigmoid.": torch.sigmoid(second)
        * functional.softplus(first),
        "The two atoms are exchanged: z is [v_i, v_j, u], the receiving atom first.": _message(
            torch.cat([v_j, v_i, u]), weight, bias, f
        ),
        "The order in z is [v_i, v_j, u]; you put the distance first.": _message(
            torch.cat([u, v_i, v_j]), weight, bias, f
        ),
        "The bias is missing.": _message(z, weight, torch.zeros_like(bias), f),
        "The core goes through softplus, which is log(1 + exp(x)); relu cuts at zero.": torch.sigmoid(first)
        * torch.relu(second),
        "The core goes through softplus; with tanh a message could be negative.": torch.sigmoid(first)
        * torch.tanh(second),
        "The core goes through softplus: you took it as it is.": torch.sigmoid(first) * second,
        "The filter goes through a sigmoid: you took softplus for both halves.": functional.softplus(first)
        * functional.softplus(second),
        "Gate and core are multiplied, not added: a closed gate must silence the message.": torch.sigmoid(first)
        + functional.softplus(second),
        "The halves are the first F and the last F values, not every other one.": torch.sigmoid(total[::2])
        * functional.softplus(total[1::2]),
        "A gate is a number between 0 and 1 for each feature; softmax makes the features compete.": torch.softmax(
            first, 0
        )
        * functional.softplus(second),
        "These are the 2 F values before the gate: split them into filter and core.": total,
    }
    compare(
        "one edge with F = 3 and K = 4",
        answer(v_i, v_j, u, weight, bias),
        _message(z, weight, bias, f),
        mistakes,
        "z = [v_i, v_j, u]; total = weight z + bias; sigmoid of the first half times softplus of the second.",
    )


def _first_atom(batch: Batch) -> Tensor:
    """An encoder that does look at the order of the atoms: the atomic number of the first one, [1, 1]."""
    return batch.z[:1, None].float()


@check(
    "order of the atoms", praise="The experiment could have failed, and it does on an encoder that looks at the order."
)
def check_permutation(answer: Callable[..., Any], structure: "Structure", encoder: Callable[[Batch], Tensor]) -> None:
    """`answer(encoder, structure, order)` is the largest change of the embedding when the atoms are renumbered.

    Args:
        answer: of the learner.
        structure: a crystal whose last atom has a smaller atomic number than its first.
        encoder: one that does not look at the order.
    """
    order = list(range(len(structure)))[::-1]
    wanted = torch.tensor(float(structure[0].specie.Z - structure[-1].specie.Z))
    mistakes = {
        "Nothing changed, though this encoder looks at the order: you compared a crystal with itself.": 0 * wanted,
        "A change may have either sign: take the absolute value before the largest.": -wanted,
    }
    hint = "Embed `structure` and `Structure.from_sites([structure[i] for i in order])`; take the largest |difference|."
    tried = "an encoder that returns the atomic number of the first atom"
    compare(tried, answer(_first_atom, structure, order), wanted, mistakes, hint)
    change = as_tensor("your encoder", answer(encoder, structure, order), wanted)
    if not change.abs() < TOLERANCE:
        hint = "You made another crystal: elements and positions have to move together, as sites do."
        raise Mistake("the same with CGCNN", f"{float(change):.2g}", f"less than {TOLERANCE:g}", hint)
