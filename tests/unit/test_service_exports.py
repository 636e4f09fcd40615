"""What an export holds, whose names it gives, and that no text in it is run by anything."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from storing import NO, YES, Room, add, picture

from memeapp.corpus import read_corpus
from memeapp.errors import BadInput, NotFound
from memeapp.judging import Judgement, Plan, VoteKind
from memeapp.labels import Label, LabelSchema
from memeapp.service.datacard import data_card
from memeapp.service.exports import FORMATS, gather, write_export
from memeapp.store import Store
from memeapp.tables import undefused

SCHEMA = LabelSchema(
    Label("misogynous", "Misogynous"), (Label("shaming", "Sh|aming <b>", "a *b*"),)
)


def write(store: Store, folder: Path, format: str, **options: object) -> Path:
    what = gather(store, SCHEMA, **options)  # type: ignore[arg-type]
    write_export(folder, what, store, format, data_card(what, folder.name))
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture
def room(store: Store) -> Room:
    """Three memes; X and Y judge a, X judges half of b, Z skips c."""
    room = Room(store, votes_per_meme=3, guidelines="Look ```twice```.\n# No heading")
    room.judge("X", "a", Judgement(YES, seconds=1.5, note="@note"))
    room.judge("Y", "a", Judgement(NO))
    room.judge("X", "b", Judgement({"misogynous": True}))
    room.judge("Z", "c", Judgement(kind=VoteKind.SKIP, reason="unreadable"))
    return room


def test_labels_are_shares_majorities_and_numbers_of_votes(tmp_path: Path, room: Room) -> None:
    a, b, c = read_csv(write(room.store, tmp_path / "out", "csv") / "labels.csv")
    assert a["id"] == picture("a").id
    assert [a[name] for name in ("votes", "misogynous", "misogynous_share")] == ["2", "0", "0.5"]
    assert [b[name] for name in ("votes", "misogynous", "shaming")] == ["1", "1", ""]
    assert [c[name] for name in ("votes", "misogynous", "shaming_share")] == ["0", "", ""]


def test_csv_and_json_lines_say_the_same(tmp_path: Path, room: Room) -> None:
    comma = write(room.store, tmp_path / "csv", "csv")
    lines = write(room.store, tmp_path / "jsonl", "jsonl")
    for name in ("labels", "votes"):
        rows = read_csv(comma / f"{name}.csv")
        for row, record in zip(rows, read_lines(lines / f"{name}.jsonl"), strict=True):
            said = {column: "" if record[column] is None else str(record[column]) for column in row}
            assert {column: undefused(cell) for column, cell in row.items()} == said


def test_every_entry_is_among_the_raw_votes(tmp_path: Path, room: Room) -> None:
    room.undo("Y")
    rows = read_csv(write(room.store, tmp_path / "out", "csv") / "votes.csv")
    assert [(row["kind"], row["standing"]) for row in rows] == [
        ("vote", "1"),
        ("vote", "0"),
        ("vote", "1"),
        ("skip", "0"),
        ("undo", "0"),
    ]
    assert rows[4]["replaces"] == rows[1]["vote"]
    assert (rows[0]["seconds"], rows[0]["note"], rows[0]["misogynous"]) == ("1.5", "'@note", "1")


def test_people_have_pseudonyms_unless_their_names_are_asked_for(
    tmp_path: Path, room: Room
) -> None:
    def people(name: str, **options: object) -> list[str]:
        rows = read_csv(write(room.store, tmp_path / name, "csv", **options) / "votes.csv")
        return [row["annotator"] for row in rows]

    hidden = people("hidden")
    assert len(set(hidden)) == 3 and set(hidden) == {"person-1", "person-2", "person-3"}
    assert hidden == people("again")
    assert people("names", names=True) == ["X", "Y", "X", "Z"]


def test_the_same_name_in_two_sessions_stays_two_people(tmp_path: Path, room: Room) -> None:
    store = room.store
    other = store.add_session(Plan("Other"), [room.memes["a"]])
    second = store.add_annotator("x", session_id=other.id)
    store.record(second.id, room.memes["a"], Judgement(YES), key="1")
    rows = read_csv(write(store, tmp_path / "out", "csv", names=True) / "votes.csv")
    assert len({row["annotator"] for row in rows}) == 4


def test_an_export_of_one_session_has_its_memes_and_votes_alone(tmp_path: Path, room: Room) -> None:
    store = room.store
    elsewhere = add(store, "elsewhere")
    importer = store.named_annotator("set", "import")
    store.import_vote(importer.id, room.memes["c"], YES, key="1")
    store.import_vote(importer.id, elsewhere.id, YES, key="2")
    out = write(store, tmp_path / "out", "csv", session_id=room.id)
    assert [row["votes"] for row in read_csv(out / "labels.csv")] == ["2", "1", "0"]
    assert len(read_csv(out / "votes.csv")) == 4
    everything = write(store, tmp_path / "all", "csv")
    assert [row["votes"] for row in read_csv(everything / "labels.csv")] == ["2", "1", "1", "1"]
    with pytest.raises(NotFound, match="99"):
        gather(store, SCHEMA, 99)


def test_votes_of_excluded_people_stand_no_longer(tmp_path: Path, room: Room) -> None:
    room.store.set_excluded(room.people["X"], True)
    rows = read_csv(write(room.store, tmp_path / "out", "csv") / "votes.csv")
    assert [row["standing"] for row in rows] == ["0", "1", "0", "0"]


def test_mamis_layout_reads_the_same(tmp_path: Path, room: Room) -> None:
    add(room.store, "d", text='a "quoted"\ttext')
    out = write(room.store, tmp_path / "out" / "deep", "mami")
    rows = read_corpus(out, SCHEMA.names)
    assert [row.text for row in rows] == ["hello", "hello", "hello", 'a "quoted"\ttext']
    assert [row.labels for row in rows] == [
        {"misogynous": False, "shaming": False},
        {"misogynous": True},
        {},
        {},
    ]
    assert rows[0].file.read_bytes() == b"jpeg"


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_never_writes_into_a_folder_that_holds_something(
    tmp_path: Path, room: Room, format: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="not empty"):
        write(room.store, tmp_path / "out", format)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_unknown_format_is_refused_with_those_there_are(tmp_path: Path, room: Room) -> None:
    with pytest.raises(BadInput, match="'xml' is no format; choose one of mami, csv, jsonl"):
        write(room.store, tmp_path / "out", "xml")
    assert not (tmp_path / "out").exists()


def test_a_hugging_face_folder_has_the_held_out_memes_as_its_test_split(
    tmp_path: Path, room: Room
) -> None:
    held = add(room.store, "held", holdout_share=1.0)
    out = write(room.store, tmp_path / "out", "huggingface")
    train = read_lines(out / "data" / "train" / "metadata.jsonl")
    (test,) = read_lines(out / "data" / "test" / "metadata.jsonl")
    assert [row["id"] for row in train] == list(room.memes.values())
    assert (test["id"], test["number"]) == (held.id, 4)
    for split in (train, [test]):
        for row in split:
            name = str(row["file_name"])
            assert len(list(out.glob(f"data/*/{name}"))) == 1
    header = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    features = [feature["name"] for feature in header["dataset_info"]["features"]]
    assert features == ["image", *list(train[0])[1:]]
    assert header["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train/**"},
        {"split": "test", "path": "data/test/**"},
    ]
    assert "license" not in header
    votes = read_lines(out / "votes.jsonl")
    assert not {"note", "text", "created_at"} & set(votes[0])


def test_a_card_says_how_the_labels_came_about(room: Room) -> None:
    card = data_card(gather(room.store, SCHEMA, room.id), 'my "set": #1')
    assert yaml.safe_load(card.split("---\n")[1])["pretty_name"] == 'my "set": #1'
    assert (
        "3 memes, of which 2 have a label. 3 votes count: people in sessions 3 (2 people)" in card
    )
    assert "came with data sets 0, adjudications 0" in card
    assert "Content warning" in card and "3 of the pictures were left by visitors" in card
    assert "````markdown\nLook ```twice```.\n# No heading\n````" in card
    assert "| `shaming` | Sh&#124;aming &#60;b&#62;. a &#42;b&#42; | 1 | 0 |" in card


MARKUP = st.one_of(
    st.sampled_from(["=1+1", "<script>", "|", "---", "\t@x", "`" * 7, "a\nb", "# x", "'", '"']),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20),
)


@settings(deadline=None, max_examples=30)
@given(texts=st.lists(MARKUP, min_size=1, max_size=4), guidelines=MARKUP, name=MARKUP)
def test_no_text_breaks_out_of_its_place(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], guidelines: str, name: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    store = Store(folder / "data")
    for number, text in enumerate(texts):
        add(store, str(number), text=text)
    store.add_session(Plan("Room", guidelines=guidelines), [meme.id for meme in store.memes()])
    what = gather(store, SCHEMA)
    for format in FORMATS:
        write_export(folder / format, what, store, format, data_card(what, name))
    store.close()
    assert [row.text for row in read_corpus(folder / "mami", SCHEMA.names)] == texts
    assert [row.text for row in read_corpus(folder / "huggingface", SCHEMA.names)] == texts
    assert [row["text"] for row in read_lines(folder / "jsonl" / "labels.jsonl")] == texts
    for row in read_csv(folder / "csv" / "labels.csv"):
        assert not row["text"].lstrip().startswith(("=", "+", "@", "|", "%"))
    card = (folder / "huggingface" / "README.md").read_text()
    header = card[4 : card.index("\n---\n")]
    assert yaml.safe_load(header)["pretty_name"] == "".join(filter(str.isprintable, name))
