"""Which memes a session is opened on."""

from __future__ import annotations

import pytest
from storing import NO, add, picture

from memeapp.errors import BadInput, NotFound
from memeapp.judging import Plan, Selection
from memeapp.labels import MAMI
from memeapp.service.hosting import Hosting
from memeapp.store import Store

ORIGINS = {
    "a": "import:one/a.jpg",
    "b": "import:one/b.jpg",
    "c": "import:one more/c.jpg",
    "d": "visitor",
    "e": "import:100%/e.jpg",
}


@pytest.fixture
def hosting(store: Store) -> Hosting:
    for name, origin in ORIGINS.items():
        add(store, name, origin=origin)
    corpus = store.named_annotator("one", "import")
    store.import_vote(corpus.id, picture("b").id, NO, key="k")
    return Hosting(store, MAMI, max_text=100)


def chosen(store: Store, **selection: object) -> str:
    names = {picture(name).id: name for name in ORIGINS}
    return "".join(names[id] for id in store.chosen_memes(Selection(**selection)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ({}, "abce"),
        ({"unlabelled": True}, "ace"),
        ({"data_set": "import:one"}, "ab"),
        ({"data_set": "import:one", "unlabelled": True}, "a"),
        ({"data_set": "import:one more"}, "c"),
        ({"data_set": "import:100%"}, "e"),
        ({"data_set": "import:on"}, ""),
        ({"data_set": "visitor"}, ""),
        ({"most": 9}, "abce"),
    ],
)
def test_a_selection_means_these_memes(
    store: Store, hosting: Hosting, selection: dict[str, object], names: str
) -> None:
    assert chosen(store, **selection) == names
    assert hosting.size(Selection(**selection)) == len(names)  # type: ignore[arg-type]


def test_chance_draws_no_more_than_were_asked_for_and_others_each_time(
    store: Store, hosting: Hosting
) -> None:
    drawn = {chosen(store, most=2) for _ in range(60)}
    assert {len(names) for names in drawn} == {2}
    assert set("".join(drawn)) == set("abce")
    assert all(names == "".join(sorted(names)) for names in drawn)


def test_the_data_sets_are_named_with_their_sizes_and_visitors_are_none(hosting: Hosting) -> None:
    assert hosting.data_sets() == {"import:100%": 1, "import:one": 2, "import:one more": 1}


def test_a_session_never_gets_what_visitors_brought(store: Store, hosting: Hosting) -> None:
    ids = [picture(name).id for name in "ad"]
    session = hosting.open_session(Plan("Room"), ids)
    assert store.session_meme_ids(session.id) == ids[:1]
    with pytest.raises(BadInput, match="no memes"):
        hosting.open_session(Plan("Empty"), ids[1:])
    with pytest.raises(NotFound, match="There is no meme"):
        hosting.open_session(Plan("Unknown"), ["0" * 64])


def test_a_session_is_opened_on_a_selection(store: Store, hosting: Hosting) -> None:
    session = hosting.open_session(Plan("Room"), selection=Selection(data_set="import:one"))
    assert set(store.session_meme_ids(session.id)) == {picture(name).id for name in "ab"}


def test_a_warning_is_kept_for_the_person_until_it_is_taken_back(
    store: Store, hosting: Hosting
) -> None:
    session = hosting.open_session(Plan("Room"))
    ann = store.add_annotator("Ann", session_id=session.id)
    ben = store.add_annotator("Ben", session_id=session.id)
    assert ann.warning == ""
    hosting.warn(ann.id, f" {'w' * 300} ")
    assert store.annotator(ann.id).warning == "w" * 300
    assert store.annotator(ben.id).warning == ""
    with pytest.raises(BadInput, match="The text has 301 characters; at most 300"):
        hosting.warn(ann.id, "w" * 301)
    assert store.annotator(ann.id).warning == "w" * 300
    hosting.warn(ann.id, "")
    assert store.annotator(ann.id).warning == ""
    with pytest.raises(NotFound):
        hosting.warn("nobody", "Look again.")


def test_where_a_session_stands_follows_what_the_admin_does(
    store: Store, hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memeapp.service.recent.CHEAP", 0.0)
    monkeypatch.setattr("memeapp.service.recent.LASTS", 1e9)
    session = hosting.open_session(Plan("Room", votes_per_meme=1))
    before = hosting.standing(session.id)
    assert (before.counts.wanted, before.judged) == (4, {})
    store.add_annotator("Ann", session_id=session.id)
    assert hosting.standing(session.id) is before  # a moment old, and nobody waits for it
    hosting.change_plan(session.id, Plan("Room", votes_per_meme=2))
    assert hosting.standing(session.id).counts.wanted == 8
    assert hosting.standing(session.id).counts.people == 1
    store.set_gold(session.id, picture("a").id, NO)
    assert hosting.standing(session.id).counts.gold == 1
