"""The kernel head against plain float64 refits without the rows that are left out."""

from __future__ import annotations

import numpy as np
import pytest
from learning import NAN
from numpy.typing import NDArray

from memeapp.learn import kernel
from memeapp.learn.kernel import JITTER, KernelHead, fit_kernel, nearest

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
MIXTURES = ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0))
BOTH = ((0.3, 0.7),)


def unit(values: NDArray[np.floating]) -> Floats:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def views(rows: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(rows, 5))), unit(rng.normal(size=(rows, 8)))


def truth(view: Floats, seed: int = 0) -> Array:
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(len(view), 3))
    return np.asarray(view[:, :3] + noise > (0.0, 0.2, 0.4), dtype=float)


def rbf(left: tuple[Floats, ...], right: tuple[Floats, ...], scales: tuple[float, ...]) -> Array:
    exponent = np.zeros((len(left[0]), len(right[0])))
    for a, b, scale in zip(left, right, scales, strict=True):
        differences = a.astype(float)[:, None] - b.astype(float)[None]
        exponent -= scale * (differences**2).sum(axis=2)
    return np.exp(exponent)


def refit(head: KernelHead, seen: tuple[Floats, ...], y: Array, w: Array, out: Array) -> Array:
    """Logits of every row by Σ w (K a − (y − mean))² + λ aᵀ(K_mm + jitter)a without rows `out`."""
    inner = rbf(head.landmarks, head.landmarks, head.shape.scales)
    inner += JITTER * np.eye(len(inner))
    cross = rbf(seen, head.landmarks, head.shape.scales)
    answers = np.empty_like(y)
    for column in range(y.shape[1]):
        judged = ~np.isnan(y[:, column])
        mean = np.average(y[judged, column], weights=w[judged]) if judged.any() else 0.0
        rows = judged & ~out
        weighted = cross[rows].T * w[rows]
        system = weighted @ cross[rows] + head.shape.ridge * inner
        coefficients = np.linalg.solve(system, weighted @ (y[rows, column] - mean))
        certain = np.clip(mean, 1e-3, 1 - 1e-3)
        answers[:, column] = cross @ coefficients / (certain * (1 - certain))
    return answers


def brute_force(
    head: KernelHead, seen: tuple[Floats, ...], y: Array, w: Array, groups: NDArray[np.integer]
) -> Array:
    answers = np.empty_like(y)
    for group in np.unique(groups):
        members = groups == group
        answers[members] = refit(head, seen, y, w, members)[members]
    return answers


def case(
    rows: int, weighted: bool, grouped: bool, masked: bool, soft: bool
) -> tuple[tuple[Floats, Floats], Array, Array, NDArray[np.integer]]:
    rng = np.random.default_rng(7)
    seen = views(rows)
    y = truth(seen[1])
    if soft:
        y = rng.binomial(5, 0.1 + 0.8 * y) / 5
    if masked:
        y[rng.random(y.shape) < 0.3] = NAN
    w = rng.uniform(0.2, 3, rows) if weighted else np.ones(rows)
    groups = rng.integers(0, rows // 3, rows) if grouped else np.arange(rows)
    return seen, y, w / w.mean(), groups


KINDS = [
    pytest.param(False, False, False, False, id="plain"),
    pytest.param(True, False, False, False, id="weights"),
    pytest.param(False, True, False, False, id="groups"),
    pytest.param(False, False, True, False, id="masked"),
    pytest.param(False, False, False, True, id="soft"),
    pytest.param(True, True, True, True, id="all at once"),
]


@pytest.mark.parametrize(("weighted", "grouped", "masked", "soft"), KINDS)
def test_left_out_answers_are_those_of_refits_without_the_group(
    weighted: bool, grouped: bool, masked: bool, soft: bool
) -> None:
    seen, y, w, groups = case(60, weighted, grouped, masked, soft)
    head, left_out = fit_kernel(seen, y, w, groups, BOTH, seed=0)
    expected = brute_force(head, seen, y, w, groups)
    np.testing.assert_allclose(left_out, expected, atol=2e-5)
    nothing = np.zeros(60, dtype=bool)
    fitted = refit(head, seen, y, w, nothing)
    np.testing.assert_allclose(head(seen), fitted, atol=2e-5)
    assert np.abs(fitted - expected).max() > 0.3  # The rows do weigh on their own answers.


def test_the_exact_head_is_textbook_kernel_ridge_regression() -> None:
    seen, y, w, groups = case(60, weighted=True, grouped=False, masked=False, soft=False)
    head, left_out = fit_kernel(seen, y, w, groups, BOTH, seed=0)
    mean = np.average(y, axis=0, weights=w)
    gram = rbf(seen, seen, head.shape.scales)
    dual = np.linalg.solve(gram + head.shape.ridge * np.diag(1 / w), y - mean)
    new = views(20, seed=1)
    expected = rbf(new, seen, head.shape.scales) @ dual / (mean * (1 - mean))
    # Landmarks in half precision and the jitter on their diagonal cost this much.
    np.testing.assert_allclose(head(new), expected, atol=0.01)
    for row in range(0, 60, 7):
        rest = np.arange(60) != row
        dual = np.linalg.solve(
            gram[np.ix_(rest, rest)] + head.shape.ridge * np.diag(1 / w[rest]), (y - mean)[rest]
        )
        expected = gram[row, rest] @ dual / (mean * (1 - mean))
        np.testing.assert_allclose(left_out[row], expected, atol=0.01)


@pytest.mark.parametrize(("weighted", "grouped", "masked", "soft"), [KINDS[0], KINDS[-1]])
def test_with_fewer_landmarks_than_rows_only_the_landmarks_have_no_answer(
    monkeypatch: pytest.MonkeyPatch, weighted: bool, grouped: bool, masked: bool, soft: bool
) -> None:
    monkeypatch.setattr(kernel, "LANDMARKS", 25)
    seen, y, w, groups = case(80, weighted, grouped, masked, soft)
    head, left_out = fit_kernel(seen, y, w, groups, BOTH, seed=0)
    halves = seen[1].astype(np.float16).astype(np.float32)
    chosen = (halves[:, None] == head.landmarks[1][None]).all(axis=2).any(axis=1)
    assert chosen.sum() == len(head.landmarks[0]) == 25
    assert np.isnan(left_out[chosen]).all()
    expected = brute_force(head, seen, y, w, groups)
    np.testing.assert_allclose(left_out[~chosen], expected[~chosen], atol=2e-5)


def test_answers_do_not_depend_on_how_many_rows_are_asked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, y, w, groups = case(60, weighted=True, grouped=True, masked=True, soft=True)
    head, left_out = fit_kernel(seen, y, w, groups, BOTH, seed=0)
    together = head(seen)
    monkeypatch.setattr(kernel, "BLOCK", 7)
    np.testing.assert_allclose(head(seen), together, atol=1e-5)
    in_blocks = fit_kernel(seen, y, w, groups, BOTH, seed=0)[1]
    np.testing.assert_allclose(in_blocks, left_out, atol=2e-5)
    assert head(tuple(view[:0] for view in seen)).shape == (0, 3)


@pytest.mark.parametrize("informative", [0, 1])
def test_the_view_that_tells_the_labels_is_chosen(informative: int) -> None:
    seen = views(150)
    y = truth(seen[informative])
    head, left_out = fit_kernel(seen, y, np.ones(150), np.arange(150), MIXTURES, seed=0)
    assert head.shape.scales[informative] > 0 and head.shape.scales[1 - informative] == 0
    assert np.corrcoef(left_out[:, 0], y[:, 0])[0, 1] > 0.6


@pytest.mark.parametrize("constant", [np.zeros(5), np.full(5, 0.4), np.arange(5.0)])
@pytest.mark.parametrize("rounding", [0.0, 1e-4])
def test_a_view_that_is_the_same_for_all_rows_is_left_out(constant: Array, rounding: float) -> None:
    # To measure by what rounding makes of it would make every new row a stranger.
    text = views(120)[1]
    noise = np.random.default_rng(0).normal(size=(120, 5))
    same = (constant * (1 + rounding * noise)).astype(np.float32)
    y = np.asarray(text @ np.arange(-3.0, 5.0)[:, None] > 0, dtype=float)
    wide = ((0.25, 0.75), (0.5, 0.5))
    head, left_out = fit_kernel((same, text), y, np.ones(120), np.arange(120), wide, seed=0)
    assert head.shape.scales[0] == 0
    moved = same + np.float32(0.01)
    np.testing.assert_array_equal(head((moved, text)), head((same, text)))
    assert np.corrcoef(left_out[:, 0], y[:, 0])[0, 1] > 0.6


def test_near_duplicates_do_not_break_the_factorisation() -> None:
    rng = np.random.default_rng(0)
    seen = tuple(
        np.tile(view, (20, 1)) + rng.normal(scale=1e-7, size=(80, view.shape[1])).astype(np.float32)
        for view in views(4)
    )
    y = np.tile([[1.0], [0.0], [0.0], [1.0]], (20, 1))
    families = np.tile(np.arange(4), 20)
    head, alone = fit_kernel(seen, y, np.ones(80), np.arange(80), MIXTURES, seed=0)
    assert ((alone > 0) == (y > 0.5)).all()  # Their twins tell.
    head, left_out = fit_kernel(seen, y, np.ones(80), families, MIXTURES, seed=0)
    np.testing.assert_allclose(
        left_out, brute_force(head, seen, y, np.ones(80), families), atol=2e-4
    )
    assert np.abs(left_out).max() < np.abs(alone).min()  # Without the family nothing does.


def test_labels_that_nobody_judged_or_all_rows_share_stay_finite() -> None:
    seen = views(40)
    y = np.column_stack([truth(seen[1])[:, 0], np.zeros(40), np.ones(40), np.full(40, NAN)])
    y[::3, 0] = NAN
    head, left_out = fit_kernel(seen, y, np.ones(40), np.arange(40), MIXTURES, seed=0)
    answers = head(seen)
    assert np.isfinite(left_out).all() and np.isfinite(answers).all()
    assert np.abs(answers[:, 1:]).max() < 1e-3
    nobody = np.full((40, 2), NAN)
    answers = fit_kernel(seen, nobody, np.ones(40), np.arange(40), MIXTURES, seed=0)[1]
    np.testing.assert_array_equal(answers, np.zeros((40, 2)))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_handful_of_rows_is_enough(rows: int) -> None:
    seen = views(rows)
    y = np.arange(rows, dtype=float)[:, None] % 2
    head, left_out = fit_kernel(seen, y, np.ones(rows), np.arange(rows), MIXTURES, seed=0)
    assert np.isfinite(left_out).all() and np.isfinite(head(seen)).all()


def test_the_reach_covers_99_of_100_landmarks() -> None:
    seen = views(300)
    head, _ = fit_kernel(seen, truth(seen[1]), np.ones(300), np.arange(300), MIXTURES, seed=0)
    for view, reach in zip(head.landmarks, head.reach, strict=True):
        distances = ((view[:, None] - view[None]) ** 2).sum(axis=2) + np.diag(np.full(300, np.inf))
        assert (distances.min(axis=1) <= reach).mean() == pytest.approx(0.99, abs=0.004)


def test_the_nearest_row_has_the_distance_computed_by_hand() -> None:
    landmarks = np.array([[0, 0], [3, 4]], np.float32)
    view = np.array([[0, 1], [3, 3], [3, 4]], np.float32)
    assert nearest(view, landmarks).tolist() == [1, 1, 0]
    assert nearest(view[:0], landmarks).shape == (0,)
