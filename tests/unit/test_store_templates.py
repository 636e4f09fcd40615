"""Templates are on one side of the holdout as a whole, whatever comes and however they grow."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storing import add

from memeapp.store import Store
from memeapp.types import Meme


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def sides(store: Store) -> dict[str, set[bool]]:
    found: dict[str, set[bool]] = {}
    for meme in store.memes():
        found.setdefault(meme.template, set()).add(meme.held_out)
    return found


def test_joined_templates_have_the_name_and_the_side_of_the_older(store: Store) -> None:
    old = add(store, "old", held_out=True)
    young, twin = add(store, "young", "0" * 16, held_out=False), add(store, "twin", "0" * 15 + "1")
    assert twin.family == young.id
    assert store.join_templates([(twin.id, old.id)], [twin.id]) == 1
    assert {meme.template for meme in store.memes()} == {old.id}
    assert sides(store) == {old.id: {True}}
    assert store.join_templates([(young.id, old.id)], []) == 0


def test_what_was_learned_from_takes_the_others_out_of_the_holdout(store: Store) -> None:
    old, young = add(store, "old", held_out=True), add(store, "young", held_out=False)
    store.mark_learned([young.id])
    store.join_templates([(young.id, old.id)], [])
    assert sides(store) == {old.id: {False}}


def test_a_younger_held_out_template_follows_the_older_one_into_training(store: Store) -> None:
    old, young = add(store, "old", held_out=False), add(store, "young", held_out=True)
    store.join_templates([(old.id, young.id)], [])
    assert sides(store) == {old.id: {False}}


def test_a_new_twin_of_a_joined_template_joins_it_too_also_in_another_process(store: Store) -> None:
    old, young = add(store, "old", held_out=True), add(store, "young", "0" * 16, held_out=False)
    other = Store(store.folder)
    add(other, "elsewhere")  # so that its cache of hashes is filled
    store.join_templates([(young.id, old.id)], [])
    twin = add(other, "twin", "0" * 15 + "1")
    other.close()
    assert (twin.family, twin.template, twin.held_out) == (young.id, old.id, True)


def test_uncompared_memes_are_those_not_yet_named_as_compared(store: Store) -> None:
    first, second = add(store, "first"), add(store, "second")
    assert store.uncompared() == [first.id, second.id]
    store.join_templates([], [first.id])
    assert store.uncompared() == [second.id]


def test_nothing_held_out_is_learned_from_and_nothing_learned_from_is_forgotten(
    store: Store,
) -> None:
    kept, used = add(store, "kept", held_out=True), add(store, "used", held_out=False)
    with pytest.raises(sqlite3.IntegrityError, match="both held out and learned"):
        store.mark_learned([used.id, kept.id])
    store.mark_learned([used.id])
    for change in ("held_out = 1", "learned = 0", "id = 'x'", "family = 'x'"):
        with pytest.raises(sqlite3.IntegrityError), store._writing() as db:
            db.execute(f"UPDATE memes SET {change} WHERE id = ?", [used.id])


def test_of_each_stratum_the_share_is_held_out_as_nearly_as_can_be(store: Store) -> None:
    names = {"": 0, "misogynous": 0, "misogynous shaming": 0}
    for number in range(300):
        stratum = list(names)[1 + (number % 5 == 0)]
        meme = add(store, f"meme {number}", stratum=stratum, holdout_share=0.2)
        names[stratum] += meme.held_out
    assert abs(names["misogynous"] - 48) <= 1
    assert abs(names["misogynous shaming"] - 12) <= 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 15), st.booleans()),
            st.tuples(st.just("join"), st.integers(0, 30), st.integers(0, 30)),
            st.tuples(st.just("learn"), st.integers(0, 30), st.just(0)),
        ),
        max_size=40,
    )
)
def test_no_template_ever_straddles_the_line(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    store = Store(tmp_path_factory.mktemp("families"))
    there: list[Meme] = []
    learned: set[str] = set()
    for number, (what, one, other) in enumerate(steps):
        if what == "add":  # 16 templates, far apart; a picture differs from its template by a bit
            phash = f"{one * 0x1111111111111111 ^ 1 << number % 4:016x}"
            there.append(add(store, str(number), phash, held_out=bool(other)))
        elif there and what == "join":
            store.join_templates([(there[one % len(there)].id, there[other % len(there)].id)], [])
        elif there:
            template = store.meme(there[one % len(there)].id).template
            members = [meme for meme in store.memes() if meme.template == template]
            if not members[0].held_out:
                store.mark_learned(meme.id for meme in members)
                learned.update(meme.id for meme in members)
        assert all(len(found) == 1 for found in sides(store).values())
        assert not any(store.meme(id).held_out for id in learned)
    store.close()
