"""Data sets come in whole or not at all, twice is once, and what goes out comes back."""

import csv
import io
import zipfile

import pytest
from conftest import draw_picture
from PIL import Image

from memeapp.corpus import read_corpus
from memeapp.errors import BadInput, BadTable
from memeapp.judging import Judgement, Plan, VoteKind
from memeapp.labels import MAMI
from memeapp.service.transfer import Transfer
from memeapp.store import Store
from memeapp.types import TextSource


@pytest.fixture
def transfer(store):
    return Transfer(store, MAMI, holdout_share=0.2, max_upload_mb=20, max_text=200)


def write_corpus(folder, rows):
    """rows: (file name, picture bytes, five label cells, text)."""
    folder.mkdir()
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["file_name", *MAMI.names, "Text Transcription"])
        for name, data, labels, text in rows:
            (folder / name).write_bytes(data)
            writer.writerow([name, *labels, text])
    return folder


YES = ["1", "0", "1", "0", "0"]
NO = ["0"] * 5


def test_an_import_brings_pictures_texts_and_labels(tmp_path, store, transfer):
    folder = write_corpus(
        tmp_path / "corpus",
        [("a.png", draw_picture(1), YES, "first text"), ("b.png", draw_picture(2), [""] * 5, "")],
    )
    report = transfer.import_folder(folder)
    assert (report.added, report.known, report.labelled, report.refused) == (2, 0, 1, [])
    first, second = store.memes()
    assert (first.text, first.text_source) == ("first text", TextSource.GIVEN)
    assert (second.text, second.text_source) == ("", TextSource.NONE)
    (vote,) = store.all_votes()
    assert vote.meme_id == first.id
    assert vote.labels == dict(zip(MAMI.names, [True, False, True, False, False], strict=True))


def test_importing_again_adds_nothing(tmp_path, store, transfer):
    folder = write_corpus(tmp_path / "corpus", [("a.png", draw_picture(1), YES, "text")])
    transfer.import_folder(folder)
    report = transfer.import_folder(folder)
    assert (report.added, report.known) == (0, 1)
    assert len(store.memes()) == len(store.all_votes()) == 1


def test_a_broken_picture_is_named_and_the_others_come_in(tmp_path, store, transfer):
    folder = write_corpus(
        tmp_path / "corpus",
        [
            ("good.png", draw_picture(1), YES, "text"),
            ("broken.png", b"these are words", NO, "text"),
            ("empty.png", b"", NO, "text"),
            ("wordy.png", draw_picture(2), NO, "x" * 201),
        ],
    )
    report = transfer.import_folder(folder)
    assert report.added == 1
    named = ["broken.png", "empty.png", "wordy.png"]
    assert [sentence.count(name) for sentence, name in zip(report.refused, named, strict=True)] == [
        1,
        1,
        1,
    ]
    assert len(store.memes()) == len(store.all_votes()) == 1


def test_labels_that_changed_since_the_first_import_are_said_and_not_taken(
    tmp_path, store, transfer
):
    transfer.import_folder(
        write_corpus(tmp_path / "corpus", [("a.png", draw_picture(1), YES, "x")])
    )
    (tmp_path / "later").mkdir()
    folder = write_corpus(tmp_path / "later" / "corpus", [("a.png", draw_picture(1), NO, "y")])
    report = transfer.import_folder(folder)
    assert report.labelled == 0
    assert ["another text" in report.refused[0], "other labels" in report.refused[1]] == [
        True,
        True,
    ]
    assert store.all_votes()[0].labels["misogynous"] is True
    assert store.memes()[0].text == "x"


def test_a_folder_whose_name_cannot_be_an_annotators_is_refused_before_anything(
    tmp_path, store, transfer
):
    folder = write_corpus(tmp_path / "zero\u200bwidth", [("a.png", draw_picture(1), YES, "text")])
    with pytest.raises(BadTable, match="Rename the folder"):
        transfer.import_folder(folder)
    assert store.memes() == []


def test_a_row_without_its_picture_stops_the_import_before_anything_is_stored(
    tmp_path, store, transfer
):
    folder = write_corpus(
        tmp_path / "corpus",
        [("a.png", draw_picture(1), YES, "text"), ("gone.png", draw_picture(2), NO, "text")],
    )
    (folder / "gone.png").unlink()
    with pytest.raises(BadTable, match=r"gone\.png"):
        transfer.import_folder(folder)
    assert store.memes() == []


def test_progress_counts_the_rows(tmp_path, transfer):
    folder = write_corpus(
        tmp_path / "corpus", [(f"{n}.png", draw_picture(n), NO, "text") for n in range(3)]
    )
    seen = []
    transfer.import_folder(folder, lambda done, rows: seen.append((done, rows)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_is_exported_comes_back_the_same(tmp_path, store, transfer):
    rows = [
        ("a.png", draw_picture(1), YES, 'a "quoted" text\twith a tab'),
        ("b.png", draw_picture(2), NO, "second"),
        ("c.png", draw_picture(3), [""] * 5, "=1+1"),
    ]
    transfer.import_folder(write_corpus(tmp_path / "corpus", rows))
    assert transfer.export(tmp_path / "out") == 3
    before = read_corpus(tmp_path / "corpus", MAMI.names)
    after = read_corpus(tmp_path / "out", MAMI.names)
    assert [(row.labels, row.text) for row in after] == [(row.labels, row.text) for row in before]
    assert [row.text for row in after] == [text for _, _, _, text in rows]
    assert (tmp_path / "out" / "votes.csv").read_text().count("\n") == 3


def test_an_export_never_writes_into_a_folder_that_holds_something(tmp_path, transfer):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(BadInput, match="out"):
        transfer.export(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.txt"]


def votes_beside(folder, *rows):
    """rows: (meme, annotator, five label cells)."""
    with (folder / "votes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["meme", "annotator", *MAMI.names])
        writer.writerows([meme, annotator, *labels] for meme, annotator, labels in rows)
    return folder


def said(store):
    """(text of the meme, annotator's own name) → labels, for each standing vote."""
    names = {one.id: one.name.rpartition("/")[2] for one in store.annotators()}
    return {
        (store.meme(vote.meme_id).text, names[vote.annotator_id]): dict(vote.labels)
        for vote in store.standing_votes()
    }


def as_bools(cells):
    return {name: cell == "1" for name, cell in zip(MAMI.names, cells, strict=True) if cell}


def two_memes(folder):
    rows = [("a.png", draw_picture(1), YES, "first"), ("b.png", draw_picture(2), NO, "second")]
    return write_corpus(folder, rows)


def test_votes_beside_the_memes_become_votes_of_one_annotator_each(tmp_path, store, transfer):
    half = ["1", "", "", "", ""]
    folder = votes_beside(
        two_memes(tmp_path / "corpus"),
        ("a.png", "Ann", YES),
        ("b.png", "Ann", half),
        ("a.png", "Bob", NO),
        ("b.png", "Eve", [""] * 5),
    )
    report = transfer.import_folder(folder)
    assert (report.added, report.labelled, report.votes, report.refused) == (2, 2, 3, [])
    assert said(store) == {
        ("first", "Ann"): as_bools(YES),
        ("second", "Ann"): as_bools(half),
        ("first", "Bob"): as_bools(NO),
    }
    people = [(one.name, one.kind) for one in store.annotators()]
    assert sorted(people) == [("corpus/Ann", "import"), ("corpus/Bob", "import")]
    again = transfer.import_folder(folder)
    assert (again.added, again.known, again.refused) == (0, 2, [])
    assert len(store.all_votes()) == 3


def test_the_same_name_in_two_data_sets_is_two_people(tmp_path, store, transfer):
    for name in ("one", "other"):
        folder = votes_beside(two_memes(tmp_path / name), ("a.png", "Ann", YES))
        transfer.import_folder(folder)
    assert sorted(one.name for one in store.annotators()) == ["one/Ann", "other/Ann"]


def test_long_names_are_cut_and_told_apart(tmp_path, store, transfer):
    long = "n" * 50
    folder = votes_beside(
        two_memes(tmp_path / "corpus"), ("a.png", f"{long}1", YES), ("a.png", f"{long}2", NO)
    )
    assert transfer.import_folder(folder).votes == 2
    assert len({one.name for one in store.annotators()}) == 2
    assert transfer.import_folder(folder).refused == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("c.png", "Ann", YES)], "line 2: there is no meme 'c.png'"),
        ([("a.png", "Ann", YES), ("a.png", "ANN", NO)], "line 3: 'ANN' judged 'a.png' in line 2"),
        ([("a.png", "A\u200bnn", YES)], "line 2, column annotator: The name has control"),
        ([("a.png", "Ann", ["2"] * 5)], "line 2, column misogynous: '2'"),
    ],
)
def test_a_wrong_table_of_votes_stops_the_import_before_anything_is_stored(
    tmp_path, store, transfer, rows, words
):
    with pytest.raises(BadTable) as caught:
        transfer.import_folder(votes_beside(two_memes(tmp_path / "corpus"), *rows))
    assert words in str(caught.value)
    assert store.memes() == store.annotators() == []


def test_votes_on_a_picture_that_was_refused_are_counted(tmp_path, store, transfer):
    folder = votes_beside(
        write_corpus(
            tmp_path / "corpus",
            [("a.png", draw_picture(1), YES, "x"), ("broken.png", b"words", NO, "y")],
        ),
        ("a.png", "Ann", YES),
        ("broken.png", "Ann", NO),
    )
    report = transfer.import_folder(folder)
    assert [sentence[:10] for sentence in report.refused] == ["broken.png", "1 votes ar"]
    assert list(said(store)) == [("x", "Ann")]


def test_somebody_elses_votes_on_memes_that_are_there_need_no_pictures(tmp_path, store, transfer):
    transfer.import_folder(two_memes(tmp_path / "corpus"))
    first, _ = store.memes()
    (tmp_path / "theirs").mkdir()
    report = transfer.import_folder(votes_beside(tmp_path / "theirs", (first.id, "Ann", NO)))
    assert (report.added, report.votes) == (0, 1)
    assert said(store)["first", "Ann"] == as_bools(NO)


def test_duplicates_are_counted_and_near_ones_are_named(tmp_path, store, transfer):
    picture = draw_picture(1)
    near = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(near, "JPEG", quality=80)
    rows = [
        ("a.png", picture, YES, "text"),
        ("b.jpg", near.getvalue(), YES, "text"),
        ("c.png", picture, YES, "text"),
        ("d.png", draw_picture(2), YES, "text"),
    ]
    report = transfer.import_folder(write_corpus(tmp_path / "corpus", rows))
    assert (report.added, report.known) == (3, 1)
    assert report.near == ["b.jpg: is nearly the same picture as import:corpus/a.png."]


def test_an_import_that_was_killed_goes_on_where_it_was(tmp_path, store, transfer):
    rows = [(f"{n}.png", draw_picture(n), YES, f"text {n}") for n in range(4)]
    folder = write_corpus(tmp_path / "corpus", rows)
    votes_beside(folder, *[(f"{n}.png", who, YES) for n in range(4) for who in ("Ann", "Bob")])

    class Killed(BaseException):
        pass

    for after in (2, 6):

        def kill(done, total, after=after):
            if done == after:
                raise Killed

        with pytest.raises(Killed):
            transfer.import_folder(folder, kill)
    report = transfer.import_folder(folder)
    assert (report.added, report.known, report.labelled, report.refused) == (0, 4, 4, [])
    assert len(store.memes()) == 4 and len(store.all_votes()) == 8


def test_a_zip_is_imported_like_its_folder(tmp_path, store, transfer):
    folder = two_memes(tmp_path / "corpus")
    with zipfile.ZipFile(tmp_path / "corpus.zip", "w") as file:
        for path in folder.iterdir():
            file.write(path, f"any name/{path.name}")
    report = transfer.import_path(tmp_path / "corpus.zip")
    assert (report.added, report.labelled, report.refused) == (2, 2, [])
    assert [meme.origin for meme in store.memes()] == [
        "import:corpus/a.png",
        "import:corpus/b.png",
    ]
    assert transfer.import_path(folder).known == 2
    assert len(store.all_votes()) == 2
    assert not (store.folder / "unpacked").exists()


def test_a_zip_that_is_refused_leaves_nothing(tmp_path, store, transfer):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
        file.writestr("a.png", draw_picture(1))
        file.writestr("../b.png", draw_picture(2))
    with pytest.raises(BadInput, match=r"entry '\.\./b\.png'"):
        transfer.import_path(tmp_path / "bad.zip")
    assert store.memes() == []


# What goes out comes back.


def other_app(folder):
    store = Store(folder)
    return store, Transfer(store, MAMI, holdout_share=0.2, max_upload_mb=20, max_text=200)


@pytest.fixture
def lived_in(tmp_path, store, transfer):
    """Memes of three origins, near-duplicates among them, and votes of every sort."""
    near = io.BytesIO()
    Image.open(io.BytesIO(draw_picture(3))).save(near, "JPEG", quality=70)
    rows = [
        (f"{n}.png", draw_picture(n), YES if n % 2 else NO, text)
        for n, text in enumerate(
            ["plain", "=1+1", "a\ttab", 'a "quote"', "two\nlines", "<b>", "|x", "end"]
        )
    ]
    rows.append(("near.jpg", near.getvalue(), [""] * 5, ""))
    transfer.import_folder(write_corpus(tmp_path / "corpus", rows))
    ids = [meme.id for meme in store.memes()]
    session = store.add_session(Plan("Room", guidelines="Be ```kind```", votes_per_meme=1), ids[:6])
    ann = store.add_annotator("=Ann|Lee", session_id=session.id)
    bob = store.add_annotator("Bob", session_id=session.id)
    second = store.add_session(Plan("Second"), ids)
    other_bob = store.add_annotator("Bob", session_id=second.id)
    yes, no = as_bools(YES), as_bools(NO)
    first = store.record(ann.id, ids[0], Judgement(yes), key="1")
    store.record(ann.id, ids[0], Judgement(no, note="-1+1"), key="2", replaces=first.id)
    store.record(bob.id, ids[0], Judgement(yes), key="1")  # surplus
    store.record(bob.id, ids[1], Judgement(yes), key="2")
    store.record(other_bob.id, ids[1], Judgement(no), key="1")
    store.undo(bob.id, key="3", tab="tab")
    store.record(bob.id, ids[2], Judgement(yes), key="4")
    return store, transfer, session


def rows_of(store):
    """The memes as the database has them, without the time of their arrival."""
    return [
        (
            meme.id,
            meme.width,
            meme.height,
            meme.phash,
            meme.family,
            meme.held_out,
            meme.text,
            meme.text_source,
            meme.origin,
        )
        for meme in store.memes()
    ]


@pytest.mark.parametrize("format", ["mami", "huggingface"])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_export_gives_an_empty_data_folder_the_same_memes_and_votes(
    tmp_path, lived_in, format, zipped
):
    store, transfer, _ = lived_in
    out = tmp_path / "out"
    assert transfer.export(out, format, names=True) == 9
    if zipped:
        with zipfile.ZipFile(tmp_path / "out.zip", "w") as file:
            for path in sorted(out.rglob("*")):
                file.write(path, path.relative_to(out))
        out = tmp_path / "out.zip"
    other, again = other_app(tmp_path / "other")
    report = again.import_path(out)
    assert (report.added, report.refused, len(report.near)) == (9, [], 1)
    assert rows_of(other) == rows_of(store)
    bobs = {one.id[:6] for one in store.annotators() if one.name == "Bob"}
    before, after = said(store), said(other)
    names = {name for _, name in after}
    assert {"corpus", "=Ann|Lee", "Bob"} < names
    (third,) = names - {"corpus", "=Ann|Lee", "Bob"}
    assert third.removeprefix("Bob #") in bobs
    as_before = {(text, name.partition(" #")[0]): labels for (text, name), labels in after.items()}
    assert as_before == before and len(after) == len(before)
    report = again.import_path(out)
    assert (report.added, report.known, report.refused) == (0, 9, [])
    assert rows_of(other) == rows_of(store)
    other.close()


@pytest.mark.parametrize("format", ["mami", "huggingface"])
def test_an_export_that_comes_back_to_where_it_was_made_adds_no_meme(tmp_path, lived_in, format):
    store, transfer, _ = lived_in
    before = rows_of(store)
    transfer.export(tmp_path / "out", format)
    report = transfer.import_folder(tmp_path / "out")
    assert (report.added, report.known, report.refused) == (0, 9, [])
    assert rows_of(store) == before


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_exported_votes_are_taken_where_the_memes_are(tmp_path, lived_in, format):
    store, transfer, _ = lived_in
    transfer.export(tmp_path / "pictures")
    transfer.export(tmp_path / "out", format, names=True)
    other, again = other_app(tmp_path / "other")
    (tmp_path / "pictures" / "votes.csv").unlink()
    again.import_folder(tmp_path / "pictures")
    report = again.import_folder(tmp_path / "out")
    assert (report.added, report.votes, report.refused) == (0, len(store.standing_votes()), [])
    assert (
        said(store).items()
        <= {
            (text, name.partition(" #")[0]): labels for (text, name), labels in said(other).items()
        }.items()
    )
    other.close()


def claim(tmp_path, transfer, **changes):
    """A folder in which an export's row was changed by somebody."""
    transfer.export(tmp_path / "out")
    with (tmp_path / "out" / "data.csv").open(newline="") as file:
        first, *rest = csv.DictReader(file, delimiter="\t")
    with (tmp_path / "out" / "data.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(first), delimiter="\t")
        writer.writeheader()
        writer.writerows([{**first, **changes}, *rest])
    (tmp_path / "out" / "votes.csv").unlink()
    return tmp_path / "out", first


def test_an_id_beside_another_file_is_not_believed(tmp_path, store, transfer):
    transfer.import_folder(two_memes(tmp_path / "corpus"))
    folder, row = claim(tmp_path, transfer)
    (folder / "images" / row["file_name"]).write_bytes(draw_picture(7))
    other, again = other_app(tmp_path / "other")
    report = again.import_folder(folder)
    assert "not the file that its row describes" in report.refused[0]
    assert row["id"] not in {meme.id for meme in other.memes()}
    assert report.added == 2
    other.close()


def test_an_id_of_another_picture_that_is_there_is_refused(tmp_path, store, transfer):
    transfer.import_folder(two_memes(tmp_path / "corpus"))
    first, second = store.memes()
    kept = store.picture_path(second.id).read_bytes()
    folder, _ = claim(tmp_path, transfer, id=second.id)
    before = [(meme.id, meme.text) for meme in store.memes()]
    report = transfer.import_folder(folder)
    assert f"another picture is there under its id {second.id}" in report.refused[0]
    assert [(meme.id, meme.text) for meme in store.memes()] == before
    assert store.picture_path(second.id).read_bytes() == kept


def test_a_hash_that_is_far_from_the_picture_does_not_choose_its_family(tmp_path, store, transfer):
    transfer.import_folder(two_memes(tmp_path / "corpus"))
    first, second = store.memes()
    folder, _ = claim(tmp_path, transfer, phash=second.phash)
    other, again = other_app(tmp_path / "other")
    again.import_folder(folder)
    assert {meme.family for meme in other.memes()} == {first.id, second.id}
    other.close()


def test_an_adjudication_comes_in_as_one_and_counts_instead_of_the_votes(tmp_path, store, transfer):
    transfer.import_folder(two_memes(tmp_path / "corpus"))
    first, _ = store.memes()
    session = store.add_session(Plan("Room"), [first.id])
    store.decide(session.id, first.id, Judgement(as_bools(NO), kind=VoteKind.DECISION), key="1")
    transfer.export(tmp_path / "out", "mami")
    other, again = other_app(tmp_path / "other")
    report = again.import_folder(tmp_path / "out")
    assert report.refused == []
    decided = [vote for vote in other.standing_votes() if vote.kind is VoteKind.DECISION]
    assert [(vote.meme_id, dict(vote.labels)) for vote in decided] == [(first.id, as_bools(NO))]
    other.close()


def test_of_each_combination_of_labels_the_same_share_is_held_out(tmp_path, store, transfer):
    rows = [
        (f"{number}.png", draw_picture(number), YES if number % 3 == 0 else NO, "text")
        for number in range(60)
    ]
    transfer.import_folder(write_corpus(tmp_path / "corpus", rows))
    families = [meme for meme in store.memes() if meme.id == meme.family]
    assert len(families) > 40
    for wanted in (True, False):
        stratum = [
            meme
            for meme in families
            if (int(meme.origin.split("/")[1].split(".")[0]) % 3 == 0) is wanted
        ]
        held_out = sum(meme.held_out for meme in stratum)
        assert abs(held_out - 0.2 * len(stratum)) <= 1


@pytest.mark.parametrize("format", ["mami", "huggingface"])
def test_the_holdout_travels_with_an_export(tmp_path, lived_in, format):
    store, transfer, _ = lived_in
    source = {meme.id: meme.held_out for meme in store.memes()}
    assert set(source.values()) == {True, False}
    transfer.export(tmp_path / "out", format)
    for share, expected in ((0.9, source), (0.0, dict.fromkeys(source, False))):
        there = Store(tmp_path / f"there {share}")
        Transfer(there, MAMI, holdout_share=share, max_upload_mb=20, max_text=200).import_folder(
            tmp_path / "out"
        )
        assert {meme.id: meme.held_out for meme in there.memes()} == expected
        there.close()
