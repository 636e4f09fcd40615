"""Saving and loading a trained model, and the files it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import SMALL, make_checkpoint
from safetensors.torch import load_file, save_file

from memeapp.learn.checkpoint import MANIFEST, WEIGHTS, Checkpoint, Evidence
from memeapp.learn.data import BadCheckpoint, BadFeatures
from memeapp.learn.losses import PAPER
from memeapp.learn.recipe import RAW_N_COOK, REFERENCE, Recipe

ALONE = replace(SMALL, heads=(RAW_N_COOK,))
RAW = replace(SMALL, cook=False)
PAPERS = replace(REFERENCE, hidden=6, branch=5, loss=PAPER)


def inputs() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(9, 3)), rng.normal(size=(9, 7))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize("recipe", [SMALL, ALONE, RAW, PAPERS])
def test_loading_gives_back_the_very_same_model(tmp_path: Path, recipe: Recipe) -> None:
    saved = make_checkpoint(recipe=recipe)
    saved.save(tmp_path / "deep" / "folder")
    loaded = Checkpoint.load(tmp_path / "deep" / "folder")
    np.testing.assert_array_equal(loaded.predict(*inputs()), saved.predict(*inputs()))
    np.testing.assert_array_equal(loaded.unlike(*inputs()), saved.unlike(*inputs()))
    np.testing.assert_array_equal(loaded.thresholds, saved.thresholds)
    for mine, theirs in zip(loaded.means, saved.means, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name in ("encoder", "labels", "recipe", "seed", "epochs", "image_width", "text_width"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert (loaded.bands, loaded.reliability) == (saved.bands, saved.reliability)
    assert (loaded.kernel is None) == (saved.kernel is None)
    assert sorted(path.name for path in (tmp_path / "deep" / "folder").iterdir()) == [
        MANIFEST,
        WEIGHTS,
    ]


def test_the_answer_is_the_pool_of_both_heads() -> None:
    model = make_checkpoint()
    image, text = (torch.tensor(values, dtype=torch.float32) for values in inputs())
    with torch.no_grad():
        raw_image, raw_text, *cooked = model.network.sources(image, text)
        logits = model.network(image, text).double().numpy()  # λ is 1, so they are the log-odds
    joined = torch.cat(cooked, dim=1)
    views = (raw_image, raw_text, joined / joined.norm(dim=1, keepdim=True))
    assert model.kernel is not None
    by_kernel = model.kernel(tuple(view.numpy() for view in views))
    np.testing.assert_allclose(model.predict(*inputs()), model.pool([logits, by_kernel]), rtol=1e-6)


def test_probabilities_lie_between_zero_and_one_also_without_rows() -> None:
    probabilities = make_checkpoint().predict(*inputs())
    assert probabilities.shape == (9, 2)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert make_checkpoint().predict(np.zeros((0, 3)), np.zeros((0, 7))).shape == (0, 2)


def test_a_zero_vector_is_judged_too() -> None:
    assert np.isfinite(make_checkpoint().predict(np.zeros((1, 3)), np.zeros((1, 7)))).all()


def test_features_of_another_width_or_not_finite_are_refused() -> None:
    image, text = inputs()
    with pytest.raises(BadFeatures, match=r"text features have shape \(9, 6\).*'some-encoder'"):
        make_checkpoint().predict(image, text[:, :6])
    image[2, 1] = np.nan
    with pytest.raises(BadFeatures, match="image features of row 2"):
        make_checkpoint().predict(image, text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=1), "has format 1, this program reads format 2"),
        (lambda m: m.update(text_width=8), "size mismatch"),
        (lambda m: m.update(labels=["parent"]), "do not describe one model"),
        (lambda m: m.update(thresholds=[0.5]), "do not describe one model"),
        (lambda m: m["recipe"].update(folds_=3), "do not describe one model"),
        (lambda m: m["recipe"].pop("loss"), "do not describe one model"),
        (lambda m: m["pool"]["shares"].pop(), "do not describe one model"),
        (lambda m: m["pool"]["platts"].pop(), "do not describe one model"),
        (lambda m: m["pool"]["final"]["slope"].pop(), "do not describe one model"),
        (lambda m: m.update(kernel=None), "do not describe one model"),
        (lambda m: m["kernel"]["scales"].pop(), "do not describe one model"),
        (lambda m: m["kernel"]["scales"].append(1.0), "do not describe one model"),
        (lambda m: m["kernel"].update(reach=[0.5]), "do not describe one model"),
        (lambda m: m["evidence"]["bands"].pop(), "evidence is not of 2 labels"),
        (lambda m: m["evidence"]["reliability"].pop(), "evidence is not of 2 labels"),
        (lambda m: m["evidence"]["bands"][0].pop("share"), "do not describe one model"),
        (lambda m: m.pop("encoder"), "encoder"),
        (lambda m: m.pop("format"), "Cannot read"),
        (lambda m: m.pop("weights_sha256"), "not of one model"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    make_checkpoint().save(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(BadCheckpoint, match=message):
        Checkpoint.load(tmp_path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    make_checkpoint().save(tmp_path)
    state = load_file(tmp_path / WEIGHTS)
    save_file({name: tensor + 1 for name, tensor in state.items()}, tmp_path / WEIGHTS)
    with pytest.raises(BadCheckpoint, match="not of one model"):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS])
@pytest.mark.parametrize("content", [None, b"", b"\x80\x04\x95garbage", b"[1]"])
def test_missing_and_damaged_files_are_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    make_checkpoint().save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=name) as caught:
        Checkpoint.load(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, *_: object, **__: object) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space"):
        make_checkpoint().save(tmp_path)
    with pytest.raises(BadCheckpoint):
        Checkpoint.load(tmp_path)


def test_a_kind_is_decided_only_where_its_parent_is() -> None:
    probabilities = np.array([[0.9, 0.9], [0.9, 0.2], [0.4, 0.9], [0.5, 0.3000000001]])
    decided = make_checkpoint().decide(probabilities)
    assert decided.tolist() == [[True, True], [True, False], [False, False], [True, True]]


def test_labels_without_a_parent_are_decided_one_by_one() -> None:
    alone = make_checkpoint(recipe=replace(SMALL, parent_first=False))
    assert alone.decide([[0.4, 0.9]]).tolist() == [[False, True]]


def test_unsure_is_what_lies_in_the_labels_band() -> None:
    model = make_checkpoint()  # bands 0.4 to 0.6 and 1/7 to 1/3
    p = [[0.4, 1 / 7], [0.6, 1 / 3], [0.5, 0.3], [0.39, 0.1], [0.61, 0.4]]
    assert model.unsure(p).tolist() == [
        [True, True],
        [False, False],
        [True, True],
        [False, False],
        [False, False],
    ]
    assert model.unsure(np.zeros((0, 2))).shape == (0, 2)


def test_a_model_without_evidence_is_never_unsure() -> None:
    model = make_checkpoint(evidence=Evidence((), ()))
    assert [(band.low, band.high) for band in model.bands] == [(0.5, 0.5), (0.1 + 0.2, 0.1 + 0.2)]
    assert not model.unsure(np.linspace(0, 1, 22).reshape(11, 2)).any()
    assert model.reliability == ()


def test_a_picture_or_a_text_far_from_all_landmarks_is_unlike_them() -> None:
    image, text = np.eye(3)[:2], np.eye(7)[:2]
    head = make_checkpoint().kernel
    assert head is not None
    landmarks = (image.astype(np.float32), text.astype(np.float32), head.landmarks[2][:2])
    model = make_checkpoint(kernel=replace(head, landmarks=landmarks, reach=(0.1, 1.5, 0.0)))
    assert not model.unlike(image, text).any()
    # Unit vectors at a right angle are a squared distance of 2 apart, at 60 degrees 1.
    assert model.unlike(9 * np.eye(3)[[2, 0]], text).tolist() == [[True, False], [False, False]]
    assert model.unlike(image, -text).tolist() == [[False, True], [False, True]]
    leaning = 0.5 * np.eye(7)[:2] + 0.75**0.5 * np.eye(7)[5:]
    assert model.unlike(image, leaning).tolist() == [[False, False], [False, False]]
    assert model.unlike(image[:0], text[:0]).shape == (0, 2)


def test_nothing_is_unlike_to_a_model_without_a_kernel_head() -> None:
    image, text = inputs()
    assert not make_checkpoint(recipe=ALONE).unlike(1e3 * image, -text).any()


def test_unlike_refuses_the_features_that_predict_refuses() -> None:
    image, text = inputs()
    with pytest.raises(BadFeatures, match="text features have shape"):
        make_checkpoint().unlike(image, text[:, :6])
