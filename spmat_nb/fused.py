"""CGCNN's gated convolution on the CPU in compiled loops: the same function as the plain code, in less time and memory.

The plain code makes a dozen arrays of E x F values and keeps most of them for the gradient. Here the values of an edge
are made, used and forgotten, and made again for the gradient; all that is kept has the length of the atoms. Of the
Gaussians of a distance only the nearest `TAPS` are used: the others are below 2e-9. The loops are compiled by numba at
first use and kept on disk; without numba, and for whatever `edges_of` refuses, the plain code runs.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from . import settings

TAPS = 9  # Gaussians used: the nearest and four to each side; the next are at least 4.5 steps away
BLOCK = 64  # edges summed in single precision before they are added to a sum in double precision
SHIFT = np.float32(1.5 * 2**23)  # added to a float32 it rounds to a whole number, which then is in the lowest bits
ONE = np.int32(127 << 23)  # the bits of 1.0
PATIENCE = 6.0  # seconds before a line says so; loops that were compiled before take less than one

_allowed = True
_kept = threading.local()


@contextmanager
def disabled() -> Iterator[None]:
    """Within it the plain code runs, as the reference of tests and benchmarks."""
    global _allowed
    before, _allowed = _allowed, False
    try:
        yield
    finally:
        _allowed = before


class Loops(NamedTuple):
    """The compiled loops over the edges."""

    moments: Callable[..., None]
    forward: Callable[..., None]
    sums: Callable[..., None]
    backward: Callable[..., None]


@dataclass(frozen=True)
class Edges:
    """The edges of a batch as the loops want them; made once and used by all convolutions.

    Attributes:
        loops: compiled.
        arrays: [E] receiving atom, [E] sending atom, [E] first of the Gaussians that are used, [E, TAPS] their values.
    """

    loops: Loops
    arrays: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.arrays[0])


def edges_of(atoms: Tensor, centre: Tensor, neighbour: Tensor, distance: Tensor, centres: Tensor) -> Edges | None:
    """Edges for the compiled loops, or None where the plain code has to run.

    The loops are for single precision on the CPU, with two edges or more (batch normalisation has its own rules for
    fewer) and no gradient to the distances.

    Args:
        atoms: [N, F] features.
        centre: [E] receiving atom.
        neighbour: [E] sending atom.
        distance: [E] in A.
        centres: [K] centres of the Gaussians in A, evenly spaced from 0, as wide as they are apart.

    Raises:
        IndexError: an edge names an atom that is not there.
    """
    if not (_allowed and settings.fused()) or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return None
    floats = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in (atoms, distance, centres))
    if not floats or distance.requires_grad or len(distance) < 2 or len(centres) < 2:
        return None
    loops = compiled_loops()
    if loops is None:
        return None
    for atom in (centre, neighbour):
        least, most = torch.aminmax(atom)
        if least < 0 or most >= len(atoms):
            raise IndexError(f"An edge names atom {int(least if least < 0 else most)} of {len(atoms)}.")
    first, near = nearest_gaussians(distance, centres)
    return Edges(loops, tuple(_arrays(centre.long(), neighbour.long(), first, near)))


def nearest_gaussians(distance: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The number of the first of the Gaussians around each distance [E], and the values of `TAPS` of them [E, TAPS]."""
    step = centres[1]
    nearest = (distance / step).round_().nan_to_num_()  # a NaN still is one in the values
    first = (nearest - TAPS // 2).clamp_(0, max(len(centres) - TAPS, 0))
    used = (first[:, None] + torch.arange(TAPS)) * step  # [E, TAPS], as many centres
    return first.long(), used.sub_(distance[:, None]).div_(step).square_().neg_().exp_()


def gated_sum(atoms: Tensor, linear: nn.Linear, norm: nn.BatchNorm1d, edges: Edges) -> Tensor:
    """Gated messages summed over the edges of each atom (CGCNN): [N, F] to [N, F].

    Running statistics of `norm` are updated in training mode.
    """
    f = atoms.shape[1]
    own, other, gaussians = linear.weight.split([f, f, linear.in_features - 2 * f], dim=1)
    bias = torch.cat([linear.bias, torch.zeros_like(linear.bias)])
    products = functional.linear(atoms, torch.cat([own, other]), bias)  # [N, 4F]: as centre, as neighbour
    table = functional.pad(gaussians.t(), (0, 0, 0, max(TAPS - gaussians.shape[1], 0))).contiguous()  # [K, 2F]
    assert norm.running_mean is not None and norm.running_var is not None
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        mean, variance = _moments(products, table, edges)
        share, count = norm.momentum or 0.0, len(edges)
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance * (count / (count - 1)), share)
    inverse = torch.rsqrt(variance + norm.eps)
    return _GatedSum.apply(products, table, norm.weight, norm.bias, mean, inverse, edges, norm.training)


def _moments(products: Tensor, table: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over all edges, [2F] each."""
    about, sums = np.empty(table.shape[1], np.float32), np.zeros((2, table.shape[1]))
    edges.loops.moments(*_arrays(products, table), *edges.arrays, about, sums)
    offset, square = sums / len(edges)
    mean, variance = about + offset, square - offset**2
    return torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(variance.astype(np.float32))


class _GatedSum(torch.autograd.Function):
    """From the products of the atoms to the summed messages, with statistics that are known."""

    @staticmethod
    def forward(
        ctx: Any,
        products: Tensor,
        table: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        inverse: Tensor,
        edges: Edges,
        training: bool,
    ) -> Tensor:
        """[N, 4F] products, [K, 2F] table and [2F] scale, shift, mean, 1 / standard deviation to [N, F]."""
        inputs = (products, table, weight, bias, mean, inverse)
        ctx.save_for_backward(*inputs)
        ctx.edges, ctx.training = edges, training
        summed = products.new_zeros(len(products), products.shape[1] // 4)
        edges.loops.forward(*_arrays(*inputs), *edges.arrays, summed.numpy())
        return summed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of products, table, scale and shift; in training mode also through mean and variance."""
        products, table = ctx.saved_tensors[:2]
        known = (*_arrays(*ctx.saved_tensors), *ctx.edges.arrays)
        slopes = _scratch(len(ctx.edges), table.shape[1])
        sums = np.zeros((2, table.shape[1]))
        ctx.edges.loops.sums(*known, *_arrays(grad), sums, slopes)
        pulls = sums / len(ctx.edges) * ctx.training
        to_products, to_table = torch.zeros_like(products), torch.zeros_like(table)
        ctx.edges.loops.backward(*known, slopes, pulls.astype(np.float32), to_products.numpy(), to_table.numpy())
        to_bias, to_weight = torch.from_numpy(sums.astype(np.float32))
        return to_products, to_table, to_weight, to_bias, None, None, None, None


def _scratch(rows: int, columns: int) -> np.ndarray:
    """Memory to work in, kept for the next call: fresh memory of that size costs as much time as the work itself."""
    held = getattr(_kept, "memory", np.empty(0, np.float32))
    if held.size < rows * columns:
        held = _kept.memory = np.empty(rows * columns, np.float32)
    return held[: rows * columns].reshape(rows, columns)  # [rows * columns] to [rows, columns]


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    """Arrays that share the memory of contiguous tensors."""
    return [t.detach().contiguous().numpy() for t in tensors]


@cache
def compiled_loops() -> Loops | None:
    """The loops, compiled when first asked for; None without a numba that works."""
    message = "compiling the fused convolution (once on this machine) ..."
    notice = threading.Timer(PATIENCE, print, [message], {"file": sys.stderr})
    notice.start()
    try:
        return _compile_all()
    except Exception:  # a numba that does not suit this numpy or this Python raises all kinds of errors
        return None
    finally:
        notice.cancel()


def _compile_all() -> Loops:
    """The loops for contiguous arrays of the types that `Edges` and `_GatedSum` hand over."""
    import numba
    from numba.extending import register_jitable

    for part in (_fill, _slopes):  # a call that passes arrays would cost more than their arithmetic
        register_jitable(inline="always")(part)
    for scalar in (_decay, _log1p, _sigmoid):
        register_jitable(scalar)
    floats, wide, whole = numba.float32[::1], numba.float32[:, ::1], numba.int64[::1]
    sums, place = numba.float64[:, ::1], (whole, whole, whole, wide)
    known = (wide, wide, floats, floats, floats, floats, *place)
    return Loops(
        moments=_compile(numba, _moments_loop, (wide, wide, *place, floats, sums)),
        forward=_compile(numba, _forward_loop, (*known, wide)),
        sums=_compile(numba, _sums_loop, (*known, wide, sums, wide)),
        backward=_compile(numba, _backward_loop, (*known, wide, wide, wide, wide)),
    )


def _compile(numba: Any, loop: Callable[..., None], types: tuple[Any, ...]) -> Callable[..., None]:
    """The compiled loop, from the disk if it is there; kept in memory alone where the disk cannot be written."""
    # contract allows a * b + c in one rounding; nothing may assume that there are no NaNs
    options: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}
    try:
        return numba.njit(types, cache=True, **options)(loop)
    except (RuntimeError, OSError):
        return numba.njit(types, **options)(loop)


# Below is what numba compiles: plain loops over the features of one edge, which the compiler turns into vector
# instructions.


def _fill(row: Any, own: Any, other: Any, near: Any, table: Any) -> None:
    """[2F] what an edge's filter and core are before normalisation: products of both atoms and of the distance."""
    u0, u1, u2, u3, u4, u5, u6, u7, u8 = near[0], near[1], near[2], near[3], near[4], near[5], near[6], near[7], near[8]
    for j in range(row.size):
        a = own[j] + u0 * table[0, j] + u1 * table[1, j] + u2 * table[2, j]
        b = other[j] + u3 * table[3, j] + u4 * table[4, j] + u5 * table[5, j]
        c = u6 * table[6, j] + u7 * table[7, j] + u8 * table[8, j]
        row[j] = (a + b) + c


def _decay(x: Any) -> Any:
    """exp(-|x|) to 2e-7: 2^n times a polynomial of the rest (our own fit); at least e^-87, all but the least number."""
    a = -abs(x)
    a = np.float32(-87.0) if a < np.float32(-87.0) else a
    shifted = a * np.float32(1.4426950408889634) + SHIFT
    r = a - (shifted - SHIFT) * np.float32(0.6931471805599453)
    square = r * r
    # pairs of terms, not Horner's scheme: fewer steps wait for one another
    high = (np.float32(0.008375968226539809) * r + np.float32(0.041666340141410456)) + np.float32(
        0.0013942159880561559
    ) * square
    middle = np.float32(0.16666405302631393) * r + np.float32(0.5)
    low = np.float32(1.0) + r
    power = (np.float32(shifted).view(np.int32) << np.int32(23)) + ONE  # the bits of 2^n
    return ((high * square + middle) * square + low) * np.int32(power).view(np.float32)


def _log1p(u: Any) -> Any:
    """log(1 + u) for u between 0 and 1 to 2e-7: a polynomial (our own fit)."""
    v = u * u
    a = np.float32(-0.49999892648080163) * u + np.float32(0.9999999946562934)
    b = np.float32(-0.2495161626572586) * u + np.float32(0.33329710499262943)
    c = np.float32(-0.15269667104466478) * u + np.float32(0.19663274269437397)
    d = np.float32(-0.056373613209643736) * u + np.float32(0.10543623839523661)
    e = np.float32(-0.0031760570527694654) * u + np.float32(0.01954252743780671)
    w = v * v
    return u * ((b * v + a) + w * ((d * v + c) + w * e))


def _sigmoid(x: Any, decay: Any) -> Any:
    """The sigmoid of x from exp(-|x|)."""
    r = np.float32(1.0) / (np.float32(1.0) + decay)
    return r if x >= np.float32(0.0) else decay * r


def _moments_loop(
    products: Any, table: Any, centre: Any, neighbour: Any, first: Any, near: Any, about: Any, sums: Any
) -> None:
    """Sums of the differences from `about` [2F] and of their squares, [2, 2F]; about a mean nothing cancels."""
    g = about.size
    row, part = np.empty(g, np.float32), np.zeros((2, g), np.float32)
    offset, square = part[0], part[1]
    about[:] = 0
    stride = max(1, centre.size // BLOCK)
    sample = (centre.size + stride - 1) // stride
    for e in range(0, centre.size, stride):
        _fill(row, products[centre[e]], products[neighbour[e], g:], near[e], table[first[e] : first[e] + TAPS])
        for j in range(g):
            about[j] += row[j] / np.float32(sample)
    for e in range(centre.size):
        _fill(row, products[centre[e]], products[neighbour[e], g:], near[e], table[first[e] : first[e] + TAPS])
        for j in range(g):
            x = row[j] - about[j]
            offset[j] += x
            square[j] += x * x
        if e % BLOCK == BLOCK - 1 or e == centre.size - 1:
            for j in range(g):
                sums[0, j] += offset[j]
                sums[1, j] += square[j]
            part[:] = 0


def _forward_loop(
    products: Any,
    table: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    inverse: Any,
    centre: Any,
    neighbour: Any,
    first: Any,
    near: Any,
    summed: Any,
) -> None:
    """Normalise, gate and add up: fills the zeros of `summed` [N, F]."""
    g, f = mean.size, mean.size // 2
    row, tail = np.empty(g, np.float32), np.empty(g, np.float32)
    for e in range(centre.size):
        _fill(row, products[centre[e]], products[neighbour[e], g:], near[e], table[first[e] : first[e] + TAPS])
        for j in range(g):
            row[j] = (row[j] - mean[j]) * inverse[j] * weight[j] + bias[j]
            tail[j] = _decay(row[j])
        to, gate, core = summed[centre[e]], row[:f], row[f:]
        gate_tail, core_tail = tail[:f], tail[f:]
        for j in range(f):
            positive = core[j] if not core[j] < np.float32(0.0) else np.float32(0.0)  # a NaN passes
            to[j] += _sigmoid(gate[j], gate_tail[j]) * (positive + _log1p(core_tail[j]))


def _slopes(row: Any, slope: Any, grad: Any, mean: Any, inverse: Any, weight: Any, bias: Any) -> None:
    """Normalise `row` [2F] in place; `slope` [2F] becomes the gradient of what scale and shift make of it."""
    f = grad.size
    for j in range(2 * f):
        row[j] = (row[j] - mean[j]) * inverse[j]
        slope[j] = row[j] * weight[j] + bias[j]
    to_gate, to_core = slope[:f], slope[f:]
    for j in range(f):
        x, y = to_gate[j], to_core[j]
        small, tail = _decay(x), _decay(y)
        part = np.float32(1.0) / (np.float32(1.0) + small)
        positive = y if not y < np.float32(0.0) else np.float32(0.0)
        to_gate[j] = grad[j] * (positive + _log1p(tail)) * (small * part * part)
        to_core[j] = grad[j] * _sigmoid(x, small) * _sigmoid(y, tail)


def _sums_loop(
    products: Any,
    table: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    inverse: Any,
    centre: Any,
    neighbour: Any,
    first: Any,
    near: Any,
    grad: Any,
    sums: Any,
    slopes: Any,
) -> None:
    """Gradients of shift and scale, [2, 2F]."""
    g = mean.size
    row, part = np.empty(g, np.float32), np.zeros((2, g), np.float32)
    to_bias, to_weight = part[0], part[1]
    for e in range(centre.size):
        _fill(row, products[centre[e]], products[neighbour[e], g:], near[e], table[first[e] : first[e] + TAPS])
        slope = slopes[e]
        _slopes(row, slope, grad[centre[e]], mean, inverse, weight, bias)
        for j in range(g):
            to_bias[j] += slope[j]
            to_weight[j] += slope[j] * row[j]
        if e % BLOCK == BLOCK - 1 or e == centre.size - 1:
            for j in range(g):
                sums[0, j] += to_bias[j]
                sums[1, j] += to_weight[j]
            part[:] = 0


def _backward_loop(
    products: Any,
    table: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    inverse: Any,
    centre: Any,
    neighbour: Any,
    first: Any,
    near: Any,
    slopes: Any,
    pulls: Any,
    to_products: Any,
    to_table: Any,
) -> None:
    """Gradients of products and table, added to zeros; `pulls` [2, 2F] act through mean and variance."""
    g = mean.size
    row, slope = np.empty(g, np.float32), np.empty(g, np.float32)
    level, tilt = pulls[0], pulls[1]
    for e in range(centre.size):
        _fill(row, products[centre[e]], products[neighbour[e], g:], near[e], table[first[e] : first[e] + TAPS])
        given = slopes[e]
        to_own, to_other = to_products[centre[e]], to_products[neighbour[e], g:]
        for j in range(g):
            slope[j] = (given[j] - level[j] - (row[j] - mean[j]) * inverse[j] * tilt[j]) * (inverse[j] * weight[j])
            to_own[j] += slope[j]
            to_other[j] += slope[j]
        for t in range(TAPS):
            u, to = near[e, t], to_table[first[e] + t]
            for j in range(g):
                to[j] += u * slope[j]
