import csv

import pytest
from conftest import draw_picture

from memeapp.corpus import read_corpus
from memeapp.errors import BadInput, BadTable
from memeapp.labels import MAMI
from memeapp.service.transfer import Transfer
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
    (vote,) = store.votes()
    assert vote.meme_id == first.id
    assert vote.labels == dict(zip(MAMI.names, [True, False, True, False, False], strict=True))


def test_importing_again_adds_nothing(tmp_path, store, transfer):
    folder = write_corpus(tmp_path / "corpus", [("a.png", draw_picture(1), YES, "text")])
    transfer.import_folder(folder)
    report = transfer.import_folder(folder)
    assert (report.added, report.known) == (0, 1)
    assert len(store.memes()) == len(store.votes()) == 1


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
    assert len(store.memes()) == len(store.votes()) == 1


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
    assert store.votes()[0].labels["misogynous"] is True
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
