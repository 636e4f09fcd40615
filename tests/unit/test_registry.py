"""Versions appear whole, are found by name, and one of them answers."""

from __future__ import annotations

import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from learning import make_checkpoint

from memeapp.errors import Mismatch, NotAllowed, NotFound
from memeapp.learn.checkpoint import Checkpoint
from memeapp.registry import DRAFT_SECONDS, Registry
from memeapp.types import ModelVersion

LABELS = ("misogynous", "shaming")


@pytest.fixture
def checkpoint() -> Checkpoint:
    return make_checkpoint(text=4, encoder="embedded-1", labels=LABELS)


def add(registry: Registry, checkpoint: Checkpoint, parent: str | None = None) -> ModelVersion:
    return registry.add(
        checkpoint, parent=parent, recipe="best", data={"labelled": 3.0}, metrics={"rows": 2}
    )


@pytest.fixture
def registry(tmp_path: Path, checkpoint: Checkpoint) -> Registry:
    """One shipped version, none trained here."""
    add(Registry(tmp_path / "nothing", tmp_path / "shipped"), checkpoint)
    return Registry(tmp_path / "shipped", tmp_path / "data" / "models")


def test_the_shipped_version_answers_until_another_is_promoted(
    registry: Registry, checkpoint: Checkpoint
) -> None:
    shipped = registry.current()
    assert shipped == registry.shipped()
    before = registry.stamp()
    trained = add(registry, checkpoint, parent=shipped.name)
    assert registry.current() == shipped
    assert registry.stamp() == before
    registry.promote(trained.name)
    assert registry.current() == trained
    assert registry.stamp() != before
    after = registry.stamp()
    registry.promote(shipped.name)
    assert registry.current() == shipped
    assert registry.stamp() not in (before, after)


def test_versions_are_numbered_and_listed_newest_first(
    registry: Registry, checkpoint: Checkpoint
) -> None:
    second, third = add(registry, checkpoint), add(registry, checkpoint)
    assert [version.name[:6] for version in registry.versions()] == ["v0003-", "v0002-", "v0001-"]
    assert registry.versions()[:2] == [third, second]


def test_a_version_tells_what_it_was_added_with(registry: Registry, checkpoint: Checkpoint) -> None:
    version = add(registry, checkpoint, parent="v0001")
    assert registry.find(version.name) == version
    assert (version.encoder, version.labels, version.parent) == ("embedded-1", LABELS, "v0001")
    assert (version.recipe, version.data, version.metrics) == (
        "best",
        {"labelled": 3.0},
        {"rows": 2},
    )
    assert version.path is not None and version.path.name == version.name


def test_a_loaded_version_judges_like_the_one_that_was_added(
    registry: Registry, checkpoint: Checkpoint
) -> None:
    loaded = registry.load(add(registry, checkpoint).name)
    image, text = np.ones((2, 3)), np.ones((2, 4))
    np.testing.assert_array_equal(loaded.predict(image, text), checkpoint.predict(image, text))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../shipped", "v0001/..", "a\x00b", "v" * 65, "no"]
)
def test_a_name_from_outside_is_never_a_path(registry: Registry, name: str) -> None:
    for use in (registry.find, registry.load, registry.promote):
        with pytest.raises(NotFound, match="v0001-"):
            use(name)


def test_a_promoted_version_that_is_gone_gives_way_to_the_shipped_one_with_a_warning(
    registry: Registry, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    trained = add(registry, checkpoint)
    registry.promote(trained.name)
    assert trained.path is not None
    trained.path.rename(trained.path.with_name(".gone"))
    with caplog.at_level(logging.WARNING):
        assert registry.current() == registry.shipped()
    assert trained.name in caplog.text


def test_without_any_version_the_error_says_what_to_do(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "a", tmp_path / "b")
    assert registry.versions() == []
    assert registry.stamp() == (0, 0)
    with pytest.raises(NotFound, match="MEMEAPP_MODELS"):
        registry.current()


def test_a_failed_add_leaves_nothing_behind(
    registry: Registry, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    with pytest.raises(ValueError, match="JSON"):
        registry.add(checkpoint, parent=None, recipe="best", data={"f1": float("nan")}, metrics={})
    assert list((tmp_path / "data" / "models").iterdir()) == []


def test_a_draft_or_a_folder_without_manifest_is_no_version(
    registry: Registry, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    add(registry, checkpoint)
    for name in (".draft-1", "v0009-remains"):
        checkpoint.save(tmp_path / "data" / "models" / name)
    assert len(registry.versions()) == 2
    with pytest.raises(NotFound):
        registry.find("v0009-remains")
    assert add(registry, checkpoint).name.startswith("v0010-")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"labels": ["a"], "surprise": 1}'])
def test_a_damaged_manifest_leaves_the_version_out_with_a_warning(
    registry: Registry, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    version = add(registry, checkpoint)
    assert version.path is not None
    (version.path / "version.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert registry.versions() == [registry.shipped()]
    assert version.name in caplog.text


def test_a_checkpoint_of_other_labels_or_damaged_weights_are_a_mismatch(
    registry: Registry, checkpoint: Checkpoint
) -> None:
    version = add(registry, checkpoint)
    assert version.path is not None
    manifest = version.path / "version.json"
    raw = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**raw, "encoder": "ViT-L-14/openai"}))
    with pytest.raises(Mismatch, match=r"ViT-L-14/openai.*embedded-1"):
        registry.load(version.name)
    (version.path / "weights.safetensors").write_bytes(b"torn")
    with pytest.raises(Mismatch, match="cannot be loaded"):
        registry.load(version.name)


def test_versions_added_at_once_get_names_of_their_own(
    registry: Registry, checkpoint: Checkpoint
) -> None:
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda _: add(registry, checkpoint), range(4)))
    assert len({version.name for version in added}) == 4
    assert len(registry.versions()) == 5


def test_a_version_holds_the_files_it_was_added_with(
    registry: Registry, checkpoint: Checkpoint
) -> None:
    version = registry.add(
        checkpoint, parent=None, recipe="best", data={}, metrics={}, files={"receipt.json": b"{}"}
    )
    assert version.path is not None
    assert (version.path / "receipt.json").read_bytes() == b"{}"
    total = sum(file.stat().st_size for file in version.path.iterdir())
    assert registry.disk_bytes(version.name) == total > 0


def test_a_deleted_version_is_gone_and_its_number_is_not_the_next_ones(
    registry: Registry, checkpoint: Checkpoint
) -> None:
    second, third = add(registry, checkpoint), add(registry, checkpoint)
    registry.delete(second.name)
    assert [version.name for version in registry.versions()] == [
        third.name,
        registry.shipped().name,
    ]
    assert second.path is not None and not second.path.exists()
    assert add(registry, checkpoint).name.startswith("v0004")
    with pytest.raises(NotFound):
        registry.delete(second.name)


def test_the_current_and_the_shipped_version_are_not_deleted(
    registry: Registry, checkpoint: Checkpoint
) -> None:
    version = add(registry, checkpoint)
    registry.promote(version.name)
    with pytest.raises(NotAllowed, match="answers now"):
        registry.delete(version.name)
    with pytest.raises(NotAllowed, match="came with the program"):
        registry.delete(registry.shipped().name)
    assert registry.current() == version
    assert len(registry.versions()) == 2


def test_what_a_killed_process_left_goes_with_the_next_version(
    registry: Registry, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "models"
    for name, age in ((".draft-old", 2 * DRAFT_SECONDS), (".draft-new", 0)):
        (folder / name).mkdir(parents=True)
        then = time.time() - age
        os.utime(folder / name, (then, then))
    add(registry, checkpoint)
    assert not (folder / ".draft-old").exists()
    assert (folder / ".draft-new").exists()


def test_a_draft_that_ends_while_others_are_cleared_is_no_matter(
    registry: Registry, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "data" / "models" / ".draft-gone"
    monkeypatch.setattr(Path, "glob", lambda *_: [gone])
    assert add(registry, checkpoint).path is not None


def test_what_pages_show_of_a_fault_names_no_folder_of_this_machine(
    registry: Registry, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    version = add(registry, checkpoint)
    assert version.path is not None
    told = json.loads((version.path / "version.json").read_text())
    (version.path / "version.json").write_text(json.dumps({**told, "encoder": "other-1"}))
    said = []
    for spoil in (lambda _: None, lambda file: file.write_bytes(b"x"), lambda file: file.unlink()):
        spoil(version.path / "weights.safetensors")
        with pytest.raises(Mismatch) as caught:
            registry.load(version.name)
        said.append(str(caught.value))
    with pytest.raises(NotFound) as missing:
        Registry(tmp_path / "nothing", tmp_path / "data").current()
    assert str(tmp_path) not in " ".join([*said, str(missing.value)])
    assert f"{version.name}/weights.safetensors" in said[1]
