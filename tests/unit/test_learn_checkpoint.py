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
from safetensors.torch import load_file, save_file

from memeapp.learn import losses
from memeapp.learn.calibration import Platt
from memeapp.learn.checkpoint import MANIFEST, WEIGHTS, Checkpoint
from memeapp.learn.data import BadCheckpoint, BadFeatures
from memeapp.learn.nets import SemiMemes
from memeapp.learn.recipe import BEST, REFERENCE, Recipe

SMALL = replace(BEST, hidden=6, branch=5, loss=losses.PAPER)


def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(
        network=SemiMemes(3, 7, 2, SMALL).eval(),
        encoder="some-encoder",
        labels=("parent", "kind"),
        recipe=SMALL,
        seed=4,
        epochs=11,
        platt=Platt(np.array([0.1, 1 / 3]), np.array([-1e-17, 2.5])),
        thresholds=np.array([0.5, 0.1 + 0.2]),
    )


def inputs() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(9, 3)), rng.normal(size=(9, 7))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_loading_gives_back_the_very_same_model(tmp_path: Path) -> None:
    saved = checkpoint()
    saved.save(tmp_path / "deep" / "folder")
    loaded = Checkpoint.load(tmp_path / "deep" / "folder")
    np.testing.assert_array_equal(loaded.predict(*inputs()), saved.predict(*inputs()))
    np.testing.assert_array_equal(loaded.thresholds, saved.thresholds)
    np.testing.assert_array_equal(loaded.platt.intercept, saved.platt.intercept)
    for name in ("encoder", "labels", "recipe", "seed", "epochs", "image_width", "text_width"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert sorted(path.name for path in (tmp_path / "deep" / "folder").iterdir()) == [
        MANIFEST,
        WEIGHTS,
    ]


@pytest.mark.parametrize("recipe", [BEST, REFERENCE])
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_probabilities_lie_between_zero_and_one_also_without_rows() -> None:
    probabilities = checkpoint().predict(*inputs())
    assert probabilities.shape == (9, 2)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert checkpoint().predict(np.zeros((0, 3)), np.zeros((0, 7))).shape == (0, 2)


def test_a_zero_vector_is_judged_too() -> None:
    assert np.isfinite(checkpoint().predict(np.zeros((1, 3)), np.zeros((1, 7)))).all()


def test_features_of_another_width_or_not_finite_are_refused() -> None:
    image, text = inputs()
    with pytest.raises(BadFeatures, match=r"text features have shape \(9, 6\).*'some-encoder'"):
        checkpoint().predict(image, text[:, :6])
    image[2, 1] = np.nan
    with pytest.raises(BadFeatures, match="image features of row 2"):
        checkpoint().predict(image, text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=2), "has format 2, this program reads format 1"),
        (lambda m: m.update(text_width=8), "size mismatch"),
        (lambda m: m.update(labels=["parent"]), "do not describe one model"),
        (lambda m: m.update(thresholds=[0.5]), "do not describe one model"),
        (lambda m: m["recipe"].update(folds_=3), "do not describe one model"),
        (lambda m: m["recipe"].pop("loss"), "do not describe one model"),
        (lambda m: m.pop("encoder"), "encoder"),
        (lambda m: m.pop("format"), "Cannot read"),
        (lambda m: m.pop("weights_sha256"), "not of one model"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    checkpoint().save(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(BadCheckpoint, match=message):
        Checkpoint.load(tmp_path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    state = load_file(tmp_path / WEIGHTS)
    save_file({name: tensor + 1 for name, tensor in state.items()}, tmp_path / WEIGHTS)
    with pytest.raises(BadCheckpoint, match="not of one model"):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS])
@pytest.mark.parametrize("content", [None, b"", b"\x80\x04\x95garbage", b"[1]"])
def test_missing_and_damaged_files_are_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    checkpoint().save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=name):
        Checkpoint.load(tmp_path)


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, *_: object, **__: object) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space"):
        checkpoint().save(tmp_path)
    with pytest.raises(BadCheckpoint):
        Checkpoint.load(tmp_path)


def test_a_kind_is_decided_only_where_its_parent_is() -> None:
    probabilities = np.array([[0.9, 0.9], [0.9, 0.2], [0.4, 0.9], [0.5, 0.3000000001]])
    decided = checkpoint().decide(probabilities)
    assert decided.tolist() == [[True, True], [True, False], [False, False], [True, True]]


def test_labels_without_a_parent_are_decided_one_by_one() -> None:
    alone = replace(checkpoint(), recipe=replace(SMALL, parent_first=False))
    assert alone.decide([[0.4, 0.9]]).tolist() == [[False, True]]
