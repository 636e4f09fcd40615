"""What the tests of the store share: pictures, memes, sessions and threads."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from conftest import draw_picture

from memeapp.images import decode
from memeapp.judging import Card, Judgement, Plan, Vote
from memeapp.labels import MAMI
from memeapp.store import Store
from memeapp.types import Meme, TextSource

YES = {"misogynous": True, "shaming": True}
NO = {"misogynous": False, "shaming": False}


@dataclass
class FakePicture:
    """As much of a picture as the store looks at; far from every other one."""

    id: str
    phash: str
    width: int = 4
    height: int = 3
    jpeg: bytes = b"jpeg"

    def to_jpeg(self) -> bytes:
        return self.jpeg


def picture(name: str, phash: str | None = None) -> FakePicture:
    id = hashlib.sha256(name.encode()).hexdigest()
    return FakePicture(id, phash or id[:16])


def add(store: Store, name: str, phash: str | None = None, **changes: Any) -> Meme:
    values: dict[str, Any] = {
        "text": "hello",
        "text_source": TextSource.GIVEN,
        "origin": "visitor",
        "holdout_share": 0.0,
    }
    return store.add_meme(picture(name, phash), **{**values, **changes})


def at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    """What `work(0)`, `work(1)`, ... give or raise when `count` threads start together."""
    barrier = threading.Barrier(count)

    def start(number: int) -> Any:
        barrier.wait()
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


class Room:
    """A session with its memes and people, all by short names, and a clock that stands still."""

    def __init__(self, store: Store, memes: str = "abc", people: str = "XYZ", **plan: Any) -> None:
        self.store = store
        self.time = 1_000_000.0
        store.clock = lambda: self.time
        store.chance = lambda: 0.0
        for name in memes:
            add(store, name)
        self.session = store.add_session(
            Plan("Room", **{"votes_per_meme": 1, "lease_seconds": 60.0, **plan}),
            [picture(name).id for name in memes],
        )
        self.id = self.session.id
        self.memes = {name: picture(name).id for name in memes}
        self.names = {id: name for name, id in self.memes.items()}
        self.people = {name: store.add_annotator(name, session_id=self.id).id for name in people}
        self.keys = 0

    def cards(self, who: str, tab: str = "tab", avoided: int = 0) -> list[Card]:
        return self.store.next_cards(self.people[who], tab, avoided=avoided)

    def next(self, who: str, tab: str = "tab", avoided: int = 0) -> str:
        """The names of the memes that a tab gets, in their order."""
        return "".join(self.names[card.meme.id] for card in self.cards(who, tab, avoided))

    def key(self) -> str:
        self.keys += 1
        return f"key {self.keys}"

    def judge(
        self, who: str, meme: str, said: Judgement | None = None, key: str = "", **changes: Any
    ) -> Vote:
        said = said or Judgement(YES, seconds=1.5, revealed=True)
        return self.store.record(
            self.people[who], self.memes[meme], said, key=key or self.key(), **changes
        )

    def undo(self, who: str, tab: str = "tab", key: str = "") -> Vote | None:
        return self.store.undo(self.people[who], key=key or self.key(), tab=tab)


def fill(store: Store, memes: int) -> None:
    """Labelled memes whose text decides: "kitchen" is a misogynous stereotype, "engine" is
    harmless; a quarter is held out."""
    teacher = store.named_annotator("corpus", "import")
    for number in range(memes):
        yes = number % 2 == 0
        meme = store.add_meme(
            decode(draw_picture(number)),
            text=f"{'kitchen' if yes else 'engine'} {number % 16}",
            text_source=TextSource.GIVEN,
            origin="test",
            holdout_share=0.25,
        )
        labels = dict.fromkeys(MAMI.names, False) | {"misogynous": yes, "stereotype": yes}
        store.import_vote(teacher.id, meme.id, labels, key=str(number))
