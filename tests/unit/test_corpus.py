"""Folders of memes and tables of votes are read whole or refused with the lines that are wrong."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memeapp.corpus import CorpusRow, VoteRow, has_memes, read_corpus, read_votes
from memeapp.errors import BadTable
from memeapp.tables import undefused, write_csv, write_json_lines

LABELS = ("misogynous", "shaming")
HEADER = "file_name\tmisogynous\tshaming\tText Transcription"


def corpus(folder: Path, *lines: str, table: str = "data.csv", pictures: str = "ab") -> Path:
    folder.mkdir(exist_ok=True)
    for name in pictures:
        (folder / f"{name}.jpg").write_bytes(b"never opened")
    (folder / table).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(BadTable) as caught:
        read_corpus(folder, LABELS)
    return str(caught.value)


def test_a_table_is_read_with_texts_labels_and_pictures(tmp_path: Path) -> None:
    folder = corpus(tmp_path, HEADER, "a.jpg\t1\t0\tGrüße, you", "b.jpg\t0\t\t")
    assert read_corpus(folder, LABELS) == [
        CorpusRow(tmp_path / "a.jpg", "Grüße, you", {"misogynous": True, "shaming": False}),
        CorpusRow(tmp_path / "b.jpg", "", {"misogynous": False}),
    ]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("file_name\tmisogynous\tshaming", "'Text Transcription'"),
        ("file_name\tmisogynous\tshaming\tText transcription", "'Text transcription'"),
        ("file_name\tMisogynous\tShaming\tText Transcription", "'Misogynous'"),
        ("file_name\tmisogynous\tText Transcription", "shaming"),
        ("name\tmisogynous\tshaming\tText Transcription", "'file_name'"),
    ],
)
def test_a_column_that_is_missing_or_misspelt_is_named(
    tmp_path: Path, header: str, words: str
) -> None:
    row = "\t".join(["a.jpg", "1", "0", "hi"][: header.count("\t") + 1])
    assert words in refusal(corpus(tmp_path, header, row))


def test_pictures_may_lie_in_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "c.jpg").write_bytes(b"")
    folder = corpus(tmp_path, HEADER, "c.jpg\t1\t0\thi")
    assert [row.file for row in read_corpus(folder, LABELS)] == [tmp_path / "images" / "c.jpg"]


def test_a_plain_folder_of_pictures_is_unlabelled(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.webp", "c.gif", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    rows = read_corpus(tmp_path, LABELS)
    assert [row.file.name for row in rows] == ["a.webp", "b.PNG", "c.gif"]
    assert all(row.text is None and row.labels == {} for row in rows)


def test_a_byte_order_mark_and_windows_lines_are_read_over(tmp_path: Path) -> None:
    corpus(tmp_path)
    content = f"{HEADER}\r\na.jpg\t1\t0\thi\r\n\r\n"
    (tmp_path / "data.csv").write_bytes(content.encode("utf-8-sig"))
    assert [row.text for row in read_corpus(tmp_path, LABELS)] == ["hi"]


def test_the_tables_are_preferred_in_order(tmp_path: Path) -> None:
    corpus(tmp_path, HEADER, "a.jpg\t1\t0\tother", table="other.tsv")
    assert read_corpus(tmp_path, LABELS)[0].text == "other"
    corpus(tmp_path, HEADER, "a.jpg\t1\t0\tdata")
    assert read_corpus(tmp_path, LABELS)[0].text == "data"
    corpus(tmp_path, HEADER, "a.jpg\t1\t0\ttraining", table="training.csv")
    assert read_corpus(tmp_path, LABELS)[0].text == "training"


def test_several_tables_of_unknown_names_are_refused(tmp_path: Path) -> None:
    corpus(tmp_path, HEADER, table="one.csv")
    corpus(tmp_path, HEADER, table="two.tsv")
    assert "one.csv, two.tsv" in refusal(tmp_path)


def test_all_labels_may_be_absent(tmp_path: Path) -> None:
    folder = corpus(tmp_path, "file_name\tText Transcription", "a.jpg\thi")
    assert read_corpus(folder, LABELS) == [CorpusRow(tmp_path / "a.jpg", "hi", {})]
    assert read_corpus(corpus(tmp_path, HEADER, "a.jpg\t1\t0\thi"), ()) == [
        CorpusRow(tmp_path / "a.jpg", "hi", {})
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"she said ""no"""', 'she said "no"'),  # as csv.writer and pandas write it
        ('"a stray quotation mark', '"a stray quotation mark'),
        ('"no" she said', '"no" she said'),
        ('six feet 2"', 'six feet 2"'),
        ('say "cheese"', 'say "cheese"'),
        ('""', ""),
    ],
)
def test_quotation_marks_are_read_as_they_were_meant(tmp_path: Path, cell: str, text: str) -> None:
    folder = corpus(tmp_path, HEADER, f"a.jpg\t1\t0\t{cell}", 'b.jpg\t0\t0\tthe "next" one')
    assert [row.text for row in read_corpus(folder, LABELS)] == [text, 'the "next" one']


def test_a_quoted_text_may_have_lines_and_tabs(tmp_path: Path) -> None:
    folder = corpus(tmp_path, HEADER, 'a.jpg\t1\t0\t"one\ntwo\tthree"', "b.jpg\t0\t0\tfour")
    assert [row.text for row in read_corpus(folder, LABELS)] == ["one\ntwo\tthree", "four"]


def test_a_stray_quotation_mark_never_hides_rows_even_beside_texts_with_lines(
    tmp_path: Path,
) -> None:
    lines = ('a.jpg\t1\t0\t"one\ntwo"', 'b.jpg\t0\t0\t"stray', "c.jpg\t0\t0\thidden")
    assert "line 5: a quotation mark" in refusal(corpus(tmp_path, HEADER, *lines, pictures="abc"))


def test_all_problems_are_counted_and_the_first_are_told_with_their_lines(tmp_path: Path) -> None:
    lines = [f"gone{number}.jpg\t1\t0\thi" for number in range(7)]
    message = refusal(corpus(tmp_path, HEADER, "a.jpg\tyes\t0\thi", *lines, "b.jpg\t1"))
    assert "data.csv has 9 problem(s)" in message
    assert "line 2, column misogynous: 'yes' is not 0, 1 or empty" in message
    assert "line 3: the picture 'gone0.jpg' is missing" in message
    assert "and 4 more" in message


def test_a_row_of_the_wrong_width_and_a_name_twice_are_told(tmp_path: Path) -> None:
    message = refusal(corpus(tmp_path, HEADER, "a.jpg\t1\t0\thi", "a.jpg\t1\t0\thi", "b.jpg\t1"))
    assert "line 3: 'a.jpg' is in line 2 already" in message
    assert "line 4: 2 columns, the header has 4" in message


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "x/../a.jpg", r"..\a.jpg", "..", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    folder = corpus(tmp_path / "corpus", HEADER, f"{name}\t1\t0\thi")
    assert "line 2, column file_name" in refusal(folder)


def test_a_missing_label_column_is_named_with_its_table(tmp_path: Path) -> None:
    message = refusal(corpus(tmp_path, "file_name\tmisogynous", "a.jpg\t1"))
    assert "data.csv lacks the column(s) shaming" in message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "is empty"),
        ((HEADER,), "no rows"),
        (("file_name misogynous shaming", "a.jpg 1 0"), "separated by tabs, commas or semicolons"),
        (("file_name,misogynous,shaming", "a.jpg,1,0"), "no column 'Text Transcription'"),
        (("file_name,misogynous,shaming,text", 'a.jpg,1,0,say "cheese",'), "5 columns"),
        (("file_name,misogynous,shaming,text", 'a.jpg,1,0,"say "cheese"'), "line 2"),
        (("misogynous\tshaming", "1\t0"), "no column 'file_name'"),
        (("file_name\tmisogynous\tmisogynous", "a.jpg\t1\t0"), "a column twice"),
    ],
)
def test_a_table_without_sense_is_refused(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    assert message in refusal(corpus(tmp_path, *lines))


def test_a_folder_without_memes_is_refused(tmp_path: Path) -> None:
    assert "neither a table" in refusal(tmp_path)
    assert "not a folder" in refusal(tmp_path / "nowhere")
    (tmp_path / "data.csv").write_bytes(b"file_name\xff")
    assert "UTF-8" in refusal(tmp_path)


@settings(deadline=None)
@given(st.text(max_size=200), st.booleans())
def test_any_table_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, text: str, header: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.jpg").write_bytes(b"")
    content = f"{HEADER}\n{text}" if header else text
    (folder / "data.csv").write_bytes(content.encode("utf-8", "surrogatepass"))
    try:
        rows = read_corpus(folder, LABELS)
    except BadTable:
        return
    assert [row.file for row in rows] == [folder / "a.jpg"]


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30), min_size=1
    )
)
def test_texts_written_by_csv_come_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("same")
    with (folder / "data.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(HEADER.split("\t"))
        for number, text in enumerate(texts):
            (folder / f"{number}.jpg").write_bytes(b"")
            writer.writerow([f"{number}.jpg", 1, 0, text])
    assert [row.text for row in read_corpus(folder, LABELS)] == texts


ROWS = [
    {"file": "a.jpg", "text": 'one, "two"\nthree', "misogynous": 1, "shaming": 0},
    {"file": "b.jpg", "text": "", "misogynous": 0, "shaming": None},
]
READ = [('one, "two"\nthree', {"misogynous": True, "shaming": False}), ("", {"misogynous": False})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_may_be_separated_by_commas_or_semicolons(tmp_path: Path, delimiter: str) -> None:
    corpus(tmp_path)
    with (tmp_path / "data.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    assert [(row.text, row.labels) for row in read_corpus(tmp_path, LABELS)] == READ


@pytest.mark.parametrize("nested", [False, True])
def test_a_table_may_have_json_lines(tmp_path: Path, nested: bool) -> None:
    corpus(tmp_path)
    (tmp_path / "data.csv").unlink()
    rows: list[dict[str, object]] = [dict(row) for row in ROWS]
    if nested:
        for row in rows:
            row["labels"] = {label: row.pop(label) for label in LABELS}
    write_json_lines(tmp_path / "data.jsonl", rows)
    assert [(row.text, row.labels) for row in read_corpus(tmp_path, LABELS)] == READ


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: is no JSON"),
        ("[" * 100_000, "line 2: is no JSON"),
        ("[1]", "line 2: is no JSON object"),
        (json.dumps({**ROWS[0], "shaming": 2}), "line 2, column shaming: '2' is not 0, 1 or empty"),
        (json.dumps({**ROWS[0], "file": ["a.jpg"]}), "line 2, column file: '' is not a plain"),
    ],
)
def test_a_wrong_json_line_is_told_with_its_number(tmp_path: Path, line: str, words: str) -> None:
    folder = corpus(tmp_path, json.dumps(ROWS[1]), line, table="data.jsonl")
    assert words in refusal(folder)


def test_numbers_as_pandas_writes_them_are_labels(tmp_path: Path) -> None:
    folder = corpus(tmp_path, "file,misogynous,shaming,text", "a.jpg,1.0,,hi", "b.jpg,True,0.0,")
    assert [row.labels for row in read_corpus(folder, LABELS)] == [
        {"misogynous": True},
        {"misogynous": True, "shaming": False},
    ]


def test_a_name_is_found_however_its_accents_are_written(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "é.jpg")).write_bytes(b"")
    folder = corpus(tmp_path, "file,text", f"{unicodedata.normalize('NFC', 'é.jpg')},hi")
    assert [row.text for row in read_corpus(folder, LABELS)] == ["hi"]


def test_what_an_export_says_of_a_picture_is_checked_for_its_form(tmp_path: Path) -> None:
    columns = "number,id,sha256,phash,text_source,origin"
    cells = ["1", "a" * 64, "b" * 64, "0" * 16, "given", "visitor"]
    folder = corpus(tmp_path, f"file,text,{columns}", ",".join(["a.jpg", "hi", *cells]))
    (row,) = read_corpus(folder, LABELS)
    assert row.record is not None
    assert (row.record.id, row.key, row.record.origin) == ("a" * 64, "a" * 64, "visitor")
    for at, wrong in enumerate(["x", "A" * 64, "", "0" * 15, "heard", "x" * 301]):
        changed = [*cells[:at], wrong, *cells[at + 1 :]]
        corpus(tmp_path, f"file,text,{columns}", ",".join(["a.jpg", "hi", *changed]))
        assert f"line 2, column {columns.split(',')[at]}" in refusal(tmp_path)


def test_an_id_of_somebody_elses_counting_is_no_claim(tmp_path: Path) -> None:
    (row,) = read_corpus(corpus(tmp_path, "id,file,text", "17,a.jpg,hi"), LABELS)
    assert (row.key, row.record) == ("17", None)


VOTES = "meme,annotator,misogynous,shaming"


def test_votes_are_read_from_csv_and_json_lines(tmp_path: Path) -> None:
    expected = [
        VoteRow(2, "a.jpg", "=Ann", {"misogynous": True, "shaming": False}),
        VoteRow(3, "b.jpg", "Bob", {"misogynous": False}),
    ]
    rows: list[dict[str, object]] = [
        {"meme": "a.jpg", "annotator": "=Ann", "misogynous": 1, "shaming": 0},
        {"meme": "b.jpg", "annotator": "Bob", "misogynous": 0, "shaming": None},
        {"meme": "b.jpg", "annotator": "Eve", "misogynous": None, "shaming": None},
        {"meme": "b.jpg", "annotator": "Ann", "misogynous": 1, "shaming": 1, "standing": 0},
    ]
    assert read_votes(tmp_path, LABELS) is None
    write_csv(tmp_path / "votes.csv", [*VOTES.split(","), "standing"], rows)
    table = read_votes(tmp_path, LABELS)
    assert table is not None and table.rows == expected
    write_json_lines(tmp_path / "votes.jsonl", rows)
    with pytest.raises(BadTable, match="keep one"):
        read_votes(tmp_path, LABELS)
    (tmp_path / "votes.csv").unlink()
    table = read_votes(tmp_path, LABELS)
    assert table is not None
    assert [(row.meme, row.annotator, row.labels) for row in table.rows] == [
        (row.meme, row.annotator, row.labels) for row in expected
    ]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("annotator,misogynous,shaming", "Ann,1,1"), "no column 'meme'"),
        (("meme,misogynous,shaming", "a.jpg,1,1"), "no column 'annotator'"),
        (("meme,annotator,misogynous", "a.jpg,Ann,1"), "lacks the column(s) shaming"),
        ((VOTES, "a.jpg,Ann,1,2"), "line 2, column shaming: '2'"),
        ((VOTES, "a.jpg,,1,1"), "line 2, column annotator: is empty"),
    ],
)
def test_a_wrong_table_of_votes_is_refused(
    tmp_path: Path, lines: tuple[str, ...], words: str
) -> None:
    folder = corpus(tmp_path, *lines, table="votes.csv")
    with pytest.raises(BadTable) as caught:
        read_votes(folder, LABELS)
    assert words in str(caught.value)


def test_a_table_of_votes_is_no_table_of_memes(tmp_path: Path) -> None:
    corpus(tmp_path, VOTES, "a.jpg,Ann,1,1", table="votes.csv", pictures="")
    assert not has_memes(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"")
    assert has_memes(tmp_path)
    assert [row.labels for row in read_corpus(tmp_path, LABELS)] == [{}]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
HOSTILE = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", " ", "\t", "\r", "\n", "'", "''", "\u3000", "\\"]),
        st.sampled_from(["", "=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠"]),
        st.sampled_from(["", "cmd|' /C calc'!A0", "1", "<script>", 'HYPERLINK("x")', ",;\t"]),
        TEXTS,
    ),
)


@settings(deadline=None)
@given(st.lists(HOSTILE, min_size=1, max_size=5))
def test_no_text_is_run_by_a_spreadsheet_and_each_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("safe") / "table.csv"
    write_csv(path, ["number", "text"], [{"number": 1, "text": text} for text in texts])
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    for (_, cell), text in zip(rows, texts, strict=True):
        first = unicodedata.normalize("NFKC", cell.strip()[:1])
        number = cell.strip().lstrip("-").replace(",", "").replace(".", "").isdecimal()
        assert number or not first or first not in "=+@|%-" or set(cell) <= set("-0123456789,.\n")
        assert undefused(cell) == text
