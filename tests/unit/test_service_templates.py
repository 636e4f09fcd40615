"""Pictures that look alike to the encoder are of one template; others are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from storing import add

from memeapp.service.templates import FEWEST, join_neighbours
from memeapp.store import Store

PICTURES = 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def fill(store: Store, memes: int, first: int = 0) -> None:
    """Meme n shows picture n % PICTURES, with a little noise; all pictures share a large part."""
    rng = np.random.default_rng(first)
    pictures = np.random.default_rng(99).normal(size=(PICTURES, 40))
    vectors = {}
    for number in range(first, first + memes):
        id = add(store, f"meme {number}").id
        vectors[id] = 50 + pictures[number % PICTURES] + 0.1 * rng.normal(size=40)
    store.put_image_features("made-1", vectors)


def templates(store: Store) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for number, meme in enumerate(store.memes()):
        found.setdefault(number % PICTURES, set()).add(meme.template)
    return found


def test_memes_of_one_picture_become_one_template_and_only_they(store: Store) -> None:
    fill(store, FEWEST)
    assert join_neighbours(store, "made-1") == FEWEST - PICTURES
    found = templates(store)
    assert all(len(names) == 1 for names in found.values())
    assert len(set.union(*found.values())) == PICTURES
    assert store.uncompared() == []


def test_memes_that_come_later_are_compared_with_all(store: Store) -> None:
    fill(store, FEWEST)
    join_neighbours(store, "made-1")
    fill(store, 2 * PICTURES, first=FEWEST)
    assert join_neighbours(store, "made-1") == 2 * PICTURES
    assert all(len(names) == 1 for names in templates(store).values())
    assert join_neighbours(store, "made-1") == 0


def test_a_few_memes_have_no_mean_to_take_off_and_wait(store: Store) -> None:
    fill(store, FEWEST - 1)
    assert join_neighbours(store, "made-1") == 0
    assert len(store.uncompared()) == FEWEST - 1


def test_memes_without_features_wait(store: Store) -> None:
    fill(store, FEWEST)
    plain = add(store, "not encoded")
    join_neighbours(store, "made-1")
    assert store.uncompared() == [plain.id]
