"""`KernelHead`: RBF kernel ridge regression on several views, with leave-family-out answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Real = TypeVar("Real", NDArray[np.float32], NDArray[np.float64])
Views = Sequence[Floats]
"""The same N rows as several feature matrices (N, width); each view has a weight in the kernel."""

LANDMARKS = 4096
"""Rows that the kernel is spanned by; up to here it is exact, beyond it is Nyström's."""
ELEMENTS = 80_000_000
"""Rows x landmarks at most: 0.3 GB. From 20,000 rows on there are fewer landmarks."""
TRIED = 1000
"""Rows on which the kernel's shape is chosen: its cost grows with their third power."""
BLOCK = 4096
"""Rows that meet the landmarks at once; bounds the memory."""
SHARPNESS = 1.5
"""The exponent of the kernel at the typical squared distance between two rows."""
RIDGE = (1.0, 3.0, 10.0)
USUAL = 0.99
"""Share of the training rows that do not count as unlike the others."""
JITTER = 1e-3
"""Added to the landmarks' kernel, which near-duplicates make singular; far less than any ridge."""


@dataclass(frozen=True, slots=True)
class Shape:
    """K(a, b) = exp(−Σ_v scale_v |a_v − b_v|²), and the ridge λ."""

    scales: tuple[float, ...]
    """One a view; 0 leaves the view out."""
    ridge: float


@dataclass(frozen=True, slots=True, eq=False)
class KernelHead:
    """f(x) = mean + K(x, landmarks) · weights, for each label.

    Ridge regression of 0/1 targets in the space of an RBF kernel: a least-squares support vector
    machine (Suykens & Vandewalle 1999) whose leave-one-out answers have a closed form (PRESS). Its
    outputs are brought to the scale of log-odds, (f − mean) / (mean (1 − mean)).
    """

    shape: Shape
    landmarks: tuple[Floats, ...]
    """Per view (M, width)."""
    weights: Array
    """(M, C)."""
    mean: Array
    """(C,): mean target."""
    reach: tuple[float, ...]
    """Per view the squared distance within which `USUAL` of the landmarks have another one."""

    def __call__(self, views: Views) -> Array:
        """(N, C) logits."""
        rows = len(views[0])
        answers = np.empty((rows, len(self.mean)))
        for start in range(0, rows, BLOCK):
            block = [view[start : start + BLOCK] for view in views]
            answers[start : start + BLOCK] = (
                kernel(block, self.landmarks, self.shape.scales) @ self.weights
            )
        return answers / _spread(self.mean)


def kernel(left: Sequence[Real], right: Sequence[Real], scales: Sequence[float]) -> Real:
    """(N, M) values of the kernel between the rows of two sets of views, in their precision."""
    exponent = np.zeros((len(left[0]), len(right[0])), dtype=left[0].dtype)
    for a, b, scale in zip(left, right, scales, strict=True):
        if scale:
            exponent -= scale * _squared_distances(a, b)
    np.exp(exponent, out=exponent)
    return exponent


def fit_kernel(
    views: Views,
    targets: Array,
    row_weights: Array,
    groups: NDArray[np.integer],
    mixtures: Sequence[Sequence[float]],
    seed: int,
) -> tuple[KernelHead, Array]:
    """Choose the kernel's shape, fit it, and answer each row as if its group were not there.

    Args:
        targets: (N, C), 0 to 1, NaN where not judged.
        row_weights: (N,), positive.
        groups: (N,): rows of one group (near-duplicates) are left out together.
        mixtures: weights of the views to choose from, each summing to 1.

    Returns:
        The head, and its (N, C) leave-group-out logits; NaN for landmarks where they are but a part
        of the rows: their answers spread wider than those of new rows do.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(targets))
    shape = _choose(views, targets, row_weights, groups, mixtures, order[:TRIED])
    count = max(1, min(LANDMARKS, ELEMENTS // len(targets)))
    chosen = np.sort(order[:count])
    # Half precision, which is how they are kept: what is saved answers as what was fitted.
    landmarks = tuple(view[chosen].astype(np.float16).astype(np.float32) for view in views)
    basis = _Basis(views, landmarks, shape.scales)
    coefficients, left_out, mean = _solve(basis.rows, targets, row_weights, groups, (shape.ridge,))[
        0
    ]
    reach = tuple(_usual_reach(view) for view in landmarks)
    if count < len(targets):
        left_out[chosen] = np.nan
    head = KernelHead(shape, landmarks, basis.to_landmarks(coefficients), mean, reach)
    return head, left_out


class _Basis:
    """Rows in an orthonormal basis of the span of the landmarks: `rows` @ `rows`.T ≈ K."""

    def __init__(self, views: Views, landmarks: Views, scales: Sequence[float]) -> None:
        exact = [view.astype(np.float64) for view in landmarks]
        own = kernel(exact, exact, scales)
        own[np.diag_indices_from(own)] += JITTER
        self._root = cholesky(own, lower=True, overwrite_a=True).astype(np.float32)
        self.rows = np.empty((len(views[0]), len(landmarks[0])), dtype=np.float32)
        for start in range(0, len(self.rows), BLOCK):
            block = kernel([view[start : start + BLOCK] for view in views], landmarks, scales)
            self.rows[start : start + BLOCK] = solve_triangular(
                self._root, block.T, lower=True, check_finite=False
            ).T

    def to_landmarks(self, coefficients: Array) -> Array:
        """Coefficients of the basis as weights of the landmarks."""
        weights: Array = solve_triangular(
            self._root.astype(np.float64), coefficients, lower=True, trans="T", check_finite=False
        )
        return np.ascontiguousarray(weights)  # as it is loaded: sums in another order differ


Solution = tuple[Array, Array, Array]
"""Coefficients (M, C), leave-group-out logits (N, C), means (C,)."""


def _solve(
    rows: Floats,
    targets: Array,
    row_weights: Array,
    groups: NDArray[np.integer],
    ridges: Sequence[float],
) -> list[Solution]:
    """Weighted ridge regression for every ridge; labels judged on the same rows share the work."""
    judged = ~np.isnan(targets)
    patterns, pattern = np.unique(judged, axis=1, return_inverse=True)
    solutions = [
        (np.empty((rows.shape[1], targets.shape[1])), np.empty(targets.shape)) for _ in ridges
    ]
    weight = np.where(judged, row_weights[:, None], 0.0)
    mean = (weight * np.nan_to_num(targets)).sum(axis=0) / _some(weight.sum(axis=0))
    alike = _together(groups)
    for number in range(patterns.shape[1]):
        labels = np.flatnonzero(pattern.reshape(-1) == number)
        w = weight[:, labels[0]]
        y = np.where(judged[:, labels], targets[:, labels] - mean[labels], 0.0)
        gram = _gram(rows, w.astype(np.float32))
        right = (rows.T @ (w[:, None] * y).astype(np.float32)).astype(np.float64)
        for (coefficients, left_out), ridge in zip(solutions, ridges, strict=True):
            system = gram.copy()
            system[np.diag_indices_from(system)] += ridge
            root = cholesky(system, lower=True, overwrite_a=True, check_finite=False)
            solved = cho_solve((root, True), right, check_finite=False)
            coefficients[:, labels] = solved
            answers = rows @ solved.astype(np.float32)
            left_out[:, labels] = _leave_out(rows, root, w, y, answers.astype(np.float64), alike)
    return [(c, answers / _spread(mean), mean) for c, answers in solutions]


def _gram(rows: Floats, weight: Floats) -> Array:
    """rowsᵀ · diag(weight) · rows, block by block: a weighted copy of all rows is never there."""
    gram = np.zeros((rows.shape[1],) * 2)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        gram += (block * weight[start : start + BLOCK, None]).T @ block
    return gram


def _leave_out(
    rows: Floats,
    root: Array,
    weight: Array,
    y: Array,
    answers: Array,
    alike: Sequence[NDArray[np.integer]],
) -> Array:
    """Answers of each row without its group's influence: y − (I − H)⁻¹ (y − answers), blockwise."""
    leverage = np.empty(len(rows))
    small = root.astype(np.float32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        half = solve_triangular(small, block.T, lower=True, check_finite=False)
        leverage[start : start + BLOCK] = (half**2).sum(axis=0)
    leverage *= weight
    left_out: Array = y - (y - answers) / (1 - leverage.clip(max=1 - 1e-6))[:, None]
    for members in alike:
        half = solve_triangular(root, rows[members].T.astype(np.float64), lower=True)
        hat = (half.T @ half) * weight[members]
        rest = np.linalg.solve(np.eye(len(members)) - hat, y[members] - answers[members])
        left_out[members] = y[members] - rest
    return left_out


def nearest(view: Floats, landmarks: Floats) -> Floats:
    """(N,) squared distance of each row to the nearest landmark, in one view."""
    distances = np.empty(len(view), dtype=np.float32)
    for start in range(0, len(view), BLOCK):
        block = view[start : start + BLOCK]
        distances[start : start + BLOCK] = _squared_distances(block, landmarks).min(axis=1)
    return distances


def _usual_reach(landmarks: Floats) -> float:
    distances = _squared_distances(landmarks, landmarks)
    np.fill_diagonal(distances, np.inf)
    reach = distances.min(axis=1)
    return float(np.quantile(reach, USUAL)) if len(reach) > 1 else 0.0


def _together(groups: NDArray[np.integer]) -> list[NDArray[np.integer]]:
    """Positions of the rows of every group that has more than one."""
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    return [members for members in np.split(order, edges) if len(members) > 1]


def _choose(
    views: Views,
    targets: Array,
    row_weights: Array,
    groups: NDArray[np.integer],
    mixtures: Sequence[Sequence[float]],
    tried: NDArray[np.integer],
) -> Shape:
    """The shape whose leave-group-out answers agree best with the targets."""
    views = [view[tried] for view in views]
    targets, row_weights, groups = targets[tried], row_weights[tried], groups[tried]
    sharpness = [_sharpness(view) for view in views]
    weight = np.where(np.isnan(targets), 0.0, row_weights[:, None])
    most, best = -float("inf"), Shape((0.0,) * len(views), 1.0)
    for mixture in mixtures:
        scales = tuple(m * s for m, s in zip(mixture, sharpness, strict=True))
        rows = _Basis(views, views, scales).rows
        solutions = _solve(rows, targets, row_weights, groups, RIDGE)
        for ridge, (_, logits, _) in zip(RIDGE, solutions, strict=True):
            agreement = _agreement(logits, targets, weight)
            if agreement > most:
                most, best = agreement, Shape(scales, ridge)
    return best


def _sharpness(view: Floats) -> float:
    """The scale with which two typical rows of the view meet at an exponent of `SHARPNESS`; 0 for
    a view whose rows are all the same as far as half precision tells."""
    typical = float(_squared_distances(view, view).mean())
    return SHARPNESS / typical if typical > 1e-5 * float((view**2).sum(axis=1).mean()) else 0.0


def _agreement(logits: Array, targets: Array, weight: Array) -> float:
    """Sum over labels of r |r|, the squared correlation with its sign: scales do not matter."""
    total = _some(weight.sum(axis=0))
    z = logits - (weight * logits).sum(axis=0) / total
    y = np.nan_to_num(targets - (weight * np.nan_to_num(targets)).sum(axis=0) / total)
    covariance = (weight * z * y).sum(axis=0)
    norm = np.sqrt((weight * z**2).sum(axis=0) * (weight * y**2).sum(axis=0)).clip(min=1e-12)
    r = covariance / norm
    return float((r * np.abs(r)).sum())


def _spread(mean: Array) -> Array:
    """Variance of a label with this mean; a label that all rows share counts as nearly so."""
    certain = np.clip(mean, 1e-3, 1 - 1e-3)
    return certain * (1 - certain)


def _some(total: Array) -> Array:
    """A divisor: a label that nobody judged has total 0."""
    return np.maximum(total, 1e-12)


def _squared_distances(a: Real, b: Real) -> Real:
    squares: Real = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None]
    squares -= 2 * (a @ b.T)
    np.maximum(squares, 0, out=squares)
    return squares
