"""A snapshot says what a training learned from, and gives the same weights again."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning import MAMI, QUICK, memes
from storing import add

from memeapp.errors import BadInput, Mismatch, NotFound
from memeapp.learn.data import FeatureSet
from memeapp.learn.train import fit
from memeapp.service.snapshot import FILE, Row, Snapshot, held_out_for
from memeapp.store import Store
from memeapp.types import Meme, ModelVersion

ROWS = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def known(store: Store) -> tuple[FeatureSet, list[Meme]]:
    """Memes with features in the store, some of them not judged."""
    made = memes(ROWS - 20, unlabelled=20)
    there = [
        add(store, f"meme {row}", "0" * 16 if row < 3 else None, text=f"text {row % 50}")
        for row in range(ROWS)
    ]
    text = made.text[[row % 50 for row in range(ROWS)]]
    store.put_image_features("made-1", {m.id: v for m, v in zip(there, made.image, strict=True)})
    store.put_text_features("made-1", {m.text: v for m, v in zip(there, text, strict=True)})
    names = {name: i for i, name in enumerate(dict.fromkeys(m.template for m in there))}
    return replace(
        made,
        ids=tuple(meme.id for meme in there),
        text=text,
        weights=np.linspace(1, 1.5, ROWS, dtype=np.float32),
        groups=np.array([names[meme.template] for meme in there]),
    ), there


def take(known: tuple[FeatureSet, list[Meme]]) -> Snapshot:
    return Snapshot.take(
        known[0],
        known[1],
        encoder="made-1",
        recipe=QUICK,
        seed=3,
        taken_at="2026-01-01T00:00:00.000+00:00",
        last_vote=7,
        votes=40,
    )


def test_it_comes_back_from_its_file_as_it_was(known: tuple[FeatureSet, list[Meme]]) -> None:
    taken = take(known)
    again = Snapshot.from_bytes(taken.to_bytes())
    assert again == taken
    assert again.hash == taken.hash
    assert taken.to_bytes() == again.to_bytes()
    assert again.labels == MAMI
    assert again.rows[-1].targets == (None,) * 5


def test_from_the_stored_features_come_the_same_weights(
    store: Store, known: tuple[FeatureSet, list[Meme]]
) -> None:
    taken = Snapshot.from_bytes(take(known).to_bytes())
    again = taken.feature_set(store)
    for name in ("image", "text", "targets", "weights", "groups"):
        np.testing.assert_array_equal(getattr(again, name), getattr(known[0], name))
    first = fit(known[0], QUICK, encoder="made-1", seed=3)
    second = fit(again, QUICK, encoder="made-1", seed=taken.seed)
    before, after = first.network.state_dict(), second.network.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.equal(after[name]), name


@pytest.mark.parametrize("change", ["vote", "weight", "seed", "text", "template", "meme"])
def test_whatever_decides_on_the_weights_changes_the_hash(
    known: tuple[FeatureSet, list[Meme]], change: str
) -> None:
    taken = take(known)
    row = taken.rows[0]
    changed = {
        "vote": replace(row, targets=(0.25, *row.targets[1:])),
        "weight": replace(row, weight=9.0),
        "text": replace(row, text="other"),
        "template": replace(row, template="other"),
    }.get(change)
    other = {
        "seed": replace(taken, seed=4),
        "meme": replace(taken, rows=taken.rows[1:]),
    }.get(change) or replace(taken, rows=(changed or row, *taken.rows[1:]))
    assert other.hash != taken.hash
    assert replace(taken, taken_at="later", last_vote=8).hash == taken.hash


def test_features_that_are_gone_or_others_are_not_passed_over(
    store: Store, known: tuple[FeatureSet, list[Meme]]
) -> None:
    taken = take(known)
    with pytest.raises(NotFound, match="no features of other-1"):
        replace(taken, encoder="other-1").feature_set(store)
    store.put_image_features("made-1", {taken.rows[5].meme: np.zeros(7)})
    with pytest.raises(Mismatch, match="not those of the snapshot"):
        taken.feature_set(store)


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b""), gzip.compress(b"[]\n"), gzip.compress(b'{"a": 1}\n')],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput, match="no snapshot"):
        Snapshot.from_bytes(content)


def test_what_a_version_learned_from_is_not_held_out_for_it_and_all_else_stays(
    store: Store, tmp_path: Path
) -> None:
    seen, unseen, learned = (add(store, name) for name in ("seen", "unseen", "learned"))
    held_out = [replace(seen, held_out=True), replace(unseen, held_out=True), learned]
    folder = tmp_path / "from elsewhere"
    folder.mkdir()
    rows = (Row(seen.id, "", "", 1.0, ()),)
    frozen = Snapshot("", 0, 0, MAMI, "e", {}, 0, "", rows)
    (folder / FILE).write_bytes(frozen.to_bytes())
    version = ModelVersion("v0001", "2026-01-01", "e", MAMI, None, "best", {}, path=folder)
    assert held_out_for(held_out, version) == [replace(seen, held_out=False), *held_out[1:]]
    assert held_out_for(held_out, replace(version, path=None)) == held_out
