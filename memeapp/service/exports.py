"""Memes, labels and votes written out: MAMI's layout, CSV, JSON lines, a Hugging Face folder."""

from __future__ import annotations

import csv
import hashlib
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memeapp.corpus import FILE, HELD_OUT, RECORD, TEXT
from memeapp.crowd.targets import soft_targets
from memeapp.errors import BadInput
from memeapp.judging import Session, Vote
from memeapp.labels import LabelSchema
from memeapp.store import Store
from memeapp.tables import write_csv, write_json_lines
from memeapp.types import Meme

FORMATS = ("mami", "csv", "jsonl", "huggingface")

Row = dict[str, object]

_VOTE_COLUMNS = (
    "vote",
    "session",
    "meme",
    "annotator",
    "kind",
    "standing",
    "replaces",
    "reason",
    "note",
    "text",
    "harm",
    "seconds",
    "revealed",
    "revealed_seconds",
    "seen",
    "queue",
    "created_at",
)
_PRIVATE = ("note", "text", "created_at")
"""What people wrote and when: not in a folder that is meant to be published."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What goes into an export, read from the store at one go."""

    schema: LabelSchema
    memes: list[Meme]
    """In the order they came: families form the same way when they come in again."""
    votes: list[Vote]
    standing: list[Vote]
    names: Mapping[str, str]
    """Annotator → display name or pseudonym, no two the same."""
    kinds: Mapping[str, str]
    """Annotator → `Annotator.kind`."""
    sessions: list[Session]

    def shares(self) -> dict[str, list[float | None]]:
        """Meme → share of yes for each label, None where nobody judged; a decision alone counts."""
        targets = soft_targets(self.standing, self.schema.names)
        return {
            meme: [None if math.isnan(share) else round(float(share), 4) for share in row]
            for meme, row in targets.items()
        }


def gather(
    store: Store, schema: LabelSchema, session_id: int | None = None, *, names: bool = False
) -> Gathered:
    """All memes and votes, or those of one session.

    Args:
        names: give people's display names; pseudonyms like `person-1` otherwise, which stay the
            same from one export to the next.

    Raises:
        NotFound: there is no such session.
    """
    memes = store.memes()
    sessions = store.sessions()
    if session_id is not None:
        sessions = [store.session(session_id)]
        chosen = set(store.session_meme_ids(session_id))
        memes = [meme for meme in memes if meme.id in chosen]
    written = {meme.id for meme in memes}  # a vote on what came meanwhile is left for next time
    return Gathered(
        schema,
        memes,
        [vote for vote in store.all_votes(session_id) if vote.meme_id in written],
        [v for v in store.standing_votes(session_id=session_id) if v.meme_id in written],
        _names(store, names),
        {one.id: one.kind for one in store.annotators()},
        sessions,
    )


def write_export(
    folder: Path,
    what: Gathered,
    store: Store,
    format: str,
    card: str | None = None,
    on_meme: Callable[[int, int], None] = lambda done, memes: None,
) -> None:
    """Write it to a new folder, its tables last.

    A kept picture is not the file that came in, whose SHA-256 is the meme's id. So the rows of a
    picture carry the id, and the SHA-256 of the picture's own file as proof that they belong
    together; `Transfer` says when an id is believed.

    Raises:
        BadInput: the folder exists and is not empty, or the format is unknown.
    """
    if format not in FORMATS:
        raise BadInput(f"{format!r} is no format; choose one of {', '.join(FORMATS)}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is there and not empty; name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    labels = what.schema.names
    vote_columns = (*_VOTE_COLUMNS, *labels)
    match format:
        case "mami":
            _write_mami(folder, what, store, on_meme)
            write_csv(folder / "votes.csv", vote_columns, _votes(what))
        case "csv":
            shares = [f"{label}_share" for label in labels]
            columns = ("id", "held_out", "text", "text_source", "votes", *labels, *shares)
            write_csv(folder / "labels.csv", columns, _aggregated(what))
            write_csv(folder / "votes.csv", vote_columns, _votes(what))
        case "jsonl":
            write_json_lines(folder / "labels.jsonl", _aggregated(what))
            write_json_lines(folder / "votes.jsonl", _votes(what))
        case "huggingface":
            _write_splits(folder, what, store, on_meme)
            public = ({k: v for k, v in row.items() if k not in _PRIVATE} for row in _votes(what))
            write_json_lines(folder / "votes.jsonl", public)
            (folder / "README.md").write_text(card or "", encoding="utf-8")


def _names(store: Store, real: bool) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: set[str] = set()
    counts: dict[str, int] = {}
    for one in store.annotators():
        counts[one.kind] = counts.get(one.kind, 0) + 1
        name = one.name if real else f"{one.kind}-{counts[one.kind]}"
        if name.casefold() in taken:  # the same name in another session may be somebody else
            name = f"{name} #{one.id[:6]}"
        taken.add(name.casefold())
        names[one.id] = name
    return names


def _write_mami(
    folder: Path, what: Gathered, store: Store, on_meme: Callable[[int, int], None]
) -> None:
    """`images/` and `data.csv`, which is for programs and gives every text as it is."""
    (folder / "images").mkdir()
    rows = list(_with_pictures(folder / "images", what, what.memes, store, on_meme))
    with (folder / "data.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        columns = (FILE, *what.schema.names, "text", *RECORD, HELD_OUT)
        writer.writerow([TEXT if column == "text" else column for column in columns])
        for row in rows:
            cells = [row[column] for column in columns]
            writer.writerow(["" if cell is None else cell for cell in cells])


def _write_splits(
    folder: Path, what: Gathered, store: Store, on_meme: Callable[[int, int], None]
) -> None:
    """Hugging Face's imagefolder: held-out memes are the test split."""
    for split, held_out in (("train", False), ("test", True)):
        memes = [meme for meme in what.memes if meme.held_out is held_out]
        if memes:
            place = folder / "data" / split
            place.mkdir(parents=True)
            rows = list(_with_pictures(place, what, memes, store, on_meme))
            write_json_lines(place / "metadata.jsonl", rows)


def _with_pictures(
    place: Path,
    what: Gathered,
    memes: Sequence[Meme],
    store: Store,
    on_meme: Callable[[int, int], None],
) -> Iterable[Row]:
    """Copies each picture and gives its row, with the columns of `RECORD`."""
    aggregated = {str(row["id"]): row for row in _aggregated(what)}
    for done, meme in enumerate(memes):
        on_meme(done, len(memes))
        picture = place / f"{meme.id}.jpg"
        shutil.copyfile(store.picture_path(meme.id), picture)
        yield {
            FILE: picture.name,
            **aggregated[meme.id],
            "sha256": hashlib.sha256(picture.read_bytes()).hexdigest(),
            "phash": meme.phash,
            "origin": meme.origin,
        }


def _aggregated(what: Gathered) -> Iterable[Row]:
    """A row for each meme; more than half of yes is a 1, a tie is a 0."""
    shares = what.shares()
    counts: dict[str, int] = {}
    for vote in what.standing:
        counts[vote.meme_id] = counts.get(vote.meme_id, 0) + 1
    unjudged: list[float | None] = [None] * len(what.schema.names)
    for number, meme in enumerate(what.memes, start=1):
        of_meme = dict(zip(what.schema.names, shares.get(meme.id, unjudged), strict=True))
        yield {
            "number": number,
            "id": meme.id,
            "held_out": int(meme.held_out),
            "text": meme.text,
            "text_source": meme.text_source.value,
            "votes": counts.get(meme.id, 0),
            **{
                label: None if share is None else int(share > 0.5)
                for label, share in of_meme.items()
            },
            **{f"{label}_share": share for label, share in of_meme.items()},
        }


def _votes(what: Gathered) -> Iterable[Row]:
    """A row for each entry of the table of votes, also those that count no longer."""
    standing = {vote.id for vote in what.standing}
    for vote in what.votes:
        said = vote.judgement
        yield {
            "vote": vote.id,
            "session": vote.session_id,
            "meme": vote.meme_id,
            "annotator": what.names[vote.annotator_id],
            "kind": vote.kind.value,
            "standing": int(vote.id in standing),
            "replaces": vote.replaces,
            "reason": said.reason,
            "note": said.note,
            "text": said.text,
            "harm": said.harm.value,
            "seconds": said.seconds,
            "revealed": int(said.revealed),
            "revealed_seconds": said.revealed_seconds,
            "seen": vote.seen.value,
            "queue": vote.queue,
            "created_at": vote.created_at,
            **{
                label: None if (value := vote.labels.get(label)) is None else int(value)
                for label in what.schema.names
            },
        }
