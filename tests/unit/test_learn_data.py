"""What a FeatureSet accepts, refuses and selects."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from memeapp.learn.data import BadFeatures, FeatureSet

NAN = float("nan")


def features(**changes: object) -> FeatureSet:
    values: dict[str, object] = {
        "ids": ("a", "b", "c"),
        "image": np.arange(6.0).reshape(3, 2),
        "text": np.arange(12.0).reshape(3, 4),
        "targets": np.array([[1, 0], [NAN, NAN], [0.5, NAN]]),
        "labels": ("parent", "kind"),
    }
    return FeatureSet(**(values | changes))  # type: ignore[arg-type]


def test_arrays_become_float32_and_widths_may_differ() -> None:
    memes = features()
    assert memes.image.dtype == memes.text.dtype == memes.targets.dtype == np.float32
    assert (memes.image.shape[1], memes.text.shape[1], len(memes)) == (2, 4, 3)


def test_labelled_rows_are_those_with_any_target() -> None:
    assert features().labelled().ids == ("a", "c")


def test_rows_are_taken_by_position_and_by_mask() -> None:
    assert features().take(np.array([2, 0])).ids == ("c", "a")
    chosen = features().take(np.array([False, True, False]))
    assert chosen.ids == ("b",)
    np.testing.assert_array_equal(chosen.image, [[2, 3]])
    assert len(features().take(np.array([], dtype=int))) == 0


@pytest.mark.parametrize("value", [NAN, np.inf, 1e300])
@pytest.mark.parametrize(("name", "width"), [("image", 2), ("text", 4)])
def test_a_feature_that_is_not_finite_is_refused_with_the_id(
    name: str, width: int, value: float
) -> None:
    array = np.zeros((3, width))
    array[1, 1] = value
    with pytest.raises(BadFeatures, match=f"{name} feature 1 of meme 'b'"):
        features(**{name: array})


@pytest.mark.parametrize("value", [-0.1, 1.5, np.inf])
def test_a_target_outside_zero_and_one_is_refused_with_id_and_label(value: float) -> None:
    with pytest.raises(BadFeatures, match="'kind' of meme 'c'"):
        features(targets=np.array([[1, 0], [NAN, NAN], [0.5, value]]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.zeros((2, 2))}, "`image` has shape"),
        ({"text": np.zeros(3)}, "`text` has shape"),
        ({"targets": np.zeros((3, 3))}, "3 columns for 2 labels"),
        ({"targets": np.zeros((3, 0)), "labels": ()}, "at least one label"),
        ({"ids": ("a", "b", "a")}, "id 'a' is there twice"),
        ({"labels": ("kind", "kind")}, "label 'kind' is there twice"),
    ],
)
def test_shapes_and_names_that_do_not_fit_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BadFeatures, match=message):
        features(**changes)


def test_memes_weigh_the_same_and_are_families_of_their_own_unless_told() -> None:
    plain = features()
    assert plain.weights.tolist() == [1, 1, 1] and plain.weights.dtype == np.float32
    assert len(set(plain.groups.tolist())) == 3 and plain.groups.dtype == np.int64
    told = features(weights=[1, 2, 5], groups=[7, 3, 7])
    assert (told.weights.tolist(), told.groups.tolist()) == ([1, 2, 5], [7, 3, 7])


def test_weights_and_families_go_where_their_rows_go() -> None:
    told = features(weights=[1, 2, 5], groups=[7, 3, 7])
    chosen = told.take(np.array([2, 1]))
    assert (chosen.weights.tolist(), chosen.groups.tolist()) == ([5, 2], [7, 3])
    assert told.labelled().weights.tolist() == [1, 5]
    assert features().take(np.array([2, 0])).groups.tolist() == [2, 0]


@pytest.mark.parametrize("value", [0.0, -1.0, NAN, np.inf])
def test_a_weight_that_is_not_positive_is_refused_with_the_id(value: float) -> None:
    with pytest.raises(BadFeatures, match="weight of meme 'b' is .*positive"):
        features(weights=[1, value, 1])


@pytest.mark.parametrize("name", ["weights", "groups"])
@pytest.mark.parametrize("value", [np.ones(2), np.ones((3, 1))])
def test_weights_and_families_need_one_value_a_meme(name: str, value: object) -> None:
    with pytest.raises(BadFeatures, match=f"`{name}` has shape"):
        features(**{name: value})


def test_a_feature_set_that_was_checked_is_not_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        features().weights = np.ones(3)  # type: ignore[misc]
