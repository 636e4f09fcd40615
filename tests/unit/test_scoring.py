"""The official scores, against fractions worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memeapp.errors import BadTable
from memeapp.scoring import score


def write(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows).replace(" ", "\t"), encoding="utf-8")
    return path


TRUTH = ("1.jpg 1 1 0 1 0", "2.jpg 1 0 1 1 0", "3.jpg 0 0 0 0 0", "4.jpg 1 1 0 0 0")
ANSWER = ("4.jpg 1 0 0 0 1", "3.jpg 1 0 0 0 0", "2.jpg 1 0 1 1 0", "1.jpg 0 0 0 1 0")


def test_both_scores_are_the_ones_worked_out_by_hand(tmp_path: Path) -> None:
    scores = score(write(tmp_path / "truth", *TRUTH), write(tmp_path / "answer", *ANSWER))
    # A: 2 hits, 1 false alarm, 1 miss, no true negative: F1 of yes 4/6, of no 0.
    assert scores.task_a == pytest.approx(float(Fraction(2, 6)), abs=1e-12)
    # Shaming, 2 positives: never given: F1 of yes 0, of no 2*2/(2*2+2) = 2/3, together 1/3.
    # Stereotype, 1: perfect: 1. Objectification, 2: perfect: 1. Violence has no positive: weight 0.
    expected = (2 * Fraction(1, 3) + 1 * 1 + 2 * 1) / 5
    assert scores.task_b == pytest.approx(float(expected), abs=1e-12)


def test_a_perfect_answer_scores_one_and_the_order_does_not_matter(tmp_path: Path) -> None:
    scores = score(write(tmp_path / "truth", *TRUTH), write(tmp_path / "answer", *TRUTH[::-1]))
    assert (scores.task_a, scores.task_b) == (1.0, 1.0)


def test_an_answer_with_one_column_is_scored_on_task_a_only(tmp_path: Path) -> None:
    answer = write(tmp_path / "answer", "1.jpg 1", "2.jpg 1", "3.jpg 0", "4.jpg 0")
    scores = score(write(tmp_path / "truth", *TRUTH), answer)
    # 2 hits, 1 miss, 1 true negative: yes 4/5, no 2/3.
    assert scores.task_a == pytest.approx(float((Fraction(4, 5) + Fraction(2, 3)) / 2), abs=1e-12)
    assert scores.task_b is None


def test_a_byte_order_mark_windows_lines_and_empty_lines_are_read_over(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    truth.write_bytes(b"\xef\xbb\xbf1.jpg\t1\r\n2.jpg\t0\r\n\r\n")
    assert score(truth, write(tmp_path / "answer", "1.jpg 1", "2.jpg 0")).task_a == 1.0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("1.jpg 1 1 0 1 0", "2.jpg 1 0 1"), "answer line 2: 3 tab-separated columns"),
        (("1.jpg 1", "2.jpg 1 1 1 1 1"), "answer line 2: 5 .* expected 1 like"),
        (("1.jpg",), "answer line 1: 0 tab-separated columns .* 1 or 5"),
        (("1.jpg 1 1 0 2 0",), "answer line 1, column 5: '2' is not 0 or 1"),
        (("1.jpg 1", "2.jpg 0.7"), "answer line 2, column 2: '0.7'"),
        (("1.jpg 1", "1.jpg 1"), "answer line 2: '1.jpg' is in line 1 already"),
        (("1.jpg 1", "9.jpg 1"), "answer line 2: '9.jpg' is not in .*truth"),
        (("2.jpg 1", "3.jpg 1"), r"answer has no answer for 2 of the 4 .* '1.jpg' \(line 1"),
        ((), "answer has no rows"),
    ],
)
def test_a_wrong_answer_is_an_error_with_file_and_line(
    tmp_path: Path, rows: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadTable, match=message):
        score(write(tmp_path / "truth", *TRUTH), write(tmp_path / "answer", *rows))


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth", *TRUTH)
    with pytest.raises(BadTable, match="nowhere"):
        score(truth, tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(BadTable, match="binary"):
        score(truth, tmp_path / "binary")


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_scored_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    answer = folder / "answer"
    answer.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BadTable):
        score(write(folder / "truth", *TRUTH), answer)
