import logging
import threading

import pytest
from conftest import FakeEngines
from test_service_classify import FakeRegistry

from memeapp.errors import NotSaved
from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.service import inputs as module
from memeapp.service.classify import Classifier
from memeapp.service.features import prepare
from memeapp.service.inputs import InputLog
from memeapp.service.language import NO_LETTERS, SHORT, language_name, language_of
from memeapp.types import TextSource
from tests.conftest import draw_picture

SAYING = "nobody expects the coffee to arrive before noon"


@pytest.fixture
def log(store):
    log = InputLog(store, keep_days=90)
    yield log
    log.close()


@pytest.fixture
def classifier(store, log):
    return with_log(store, log)


def with_log(store, log):
    return Classifier(
        store, FakeRegistry(), FakeEngines(), MAMI, max_text=100, holdout_share=0.0, inputs=log
    )


def written(store):
    return store.inputs_since(7, limit=100)


def test_an_answer_leaves_its_figures(store, log, classifier, picture):
    answer = classifier.classify(picture, SAYING, keep=True)
    log.flush()
    (row,) = written(store)
    assert (row.version, row.text_length, row.language) == ("shipped-1", len(SAYING), "en")
    assert (row.ocr_confidence, row.unlike_image, row.unlike_text) == (None, False, False)
    assert row.scores == {s.label: pytest.approx(s.probability) for s in answer.scores}
    assert row.kept


def test_a_text_that_was_read_leaves_how_sure_ocr_was(store, log, classifier, picture):
    classifier.classify(picture, "")
    log.flush()
    (row,) = written(store)
    assert row.ocr_confidence == pytest.approx(0.9)


def test_without_reasons_nobody_knows_what_is_unlike(store, log, classifier, picture):
    classifier.classify(picture, SAYING, reasons=False)
    log.flush()
    (row,) = written(store)
    assert (row.unlike_image, row.unlike_text) == (None, None)


def test_the_hour_is_all_that_is_kept_of_the_time(store, log, classifier, picture):
    classifier.classify(picture, SAYING)
    log.flush()
    assert written(store)[0].at.endswith(":00:00.000+00:00")


def test_nothing_of_the_text_or_the_picture_is_on_the_disk(store, log, classifier, picture):
    classifier.classify(picture, SAYING)
    log.close()
    store.close()
    content = b"".join(file.read_bytes() for file in store.folder.rglob("*") if file.is_file())
    assert b"shipped-1" in content
    assert SAYING.encode() not in content
    assert picture.id.encode() not in content


def test_the_same_meme_asked_about_again_counts_once(store, log, classifier, picture):
    for text in (SAYING, SAYING, "another text"):
        classifier.classify(picture, text)
    classifier.classify(decode(draw_picture(1)), SAYING)
    log.flush()
    assert len(written(store)) == 3


def test_a_meme_that_was_asked_about_long_ago_counts_again(store, log, classifier, monkeypatch):
    monkeypatch.setattr(module, "REPEATS", 1)
    pictures = [decode(draw_picture(number)) for number in (0, 1, 0)]
    for one in pictures:
        classifier.classify(one, SAYING)
    log.flush()
    assert len(written(store)) == 3


def test_a_shutdown_writes_what_waits(store, log, classifier, picture):
    classifier.classify(picture, SAYING)
    log.close()
    assert len(written(store)) == 1


def test_a_full_buffer_is_written_at_once(store, monkeypatch, picture):
    monkeypatch.setattr(module, "FULL", 2)
    monkeypatch.setattr(module, "SECONDS", 3600)
    seen = threading.Event()
    log = InputLog(store, keep_days=90, watch=seen.set)
    classifier = with_log(store, log)
    classifier.classify(picture, SAYING)
    classifier.classify(picture, "another text")
    assert seen.wait(30)
    assert len(written(store)) == 2
    log.close()


def test_a_disk_that_takes_nothing_fails_no_answer_and_is_told_once(
    store, log, classifier, picture, monkeypatch, caplog
):
    def full(*_, **__):
        raise NotSaved("The disk is full")

    monkeypatch.setattr(store, "add_inputs", full)
    for text in (SAYING, "another text"):
        assert classifier.classify(picture, text).model == "shipped-1"
        log.flush()
    assert [record.message for record in caplog.records if "drift" in record.message] == [
        "What was classified is not counted for drift: The disk is full"
    ]
    monkeypatch.undo()
    classifier.classify(picture, "a third text")
    log.flush()
    assert len(written(store)) == 1


def test_a_watcher_that_fails_does_not_end_the_writing(store, monkeypatch, picture, caplog):
    monkeypatch.setattr(module, "SECONDS", 0)
    seen = threading.Semaphore(0)

    def watch():
        seen.release()
        raise RuntimeError("nobody at home")

    log = InputLog(store, keep_days=90, watch=watch)
    classifier = with_log(store, log)
    with caplog.at_level(logging.CRITICAL, "memeapp"):
        for text in (SAYING, "another text"):
            classifier.classify(picture, text)
            assert seen.acquire(timeout=30)
    log.close()
    assert len(written(store)) == 2


def test_a_slow_disk_costs_the_oldest_rows_and_no_more(store, monkeypatch, picture):
    monkeypatch.setattr(module, "MOST", 3)
    log = InputLog(store, keep_days=90)
    log.close()  # so that no thread writes meanwhile
    classifier = with_log(store, log)
    for number in range(5):
        classifier.classify(picture, "x" * (number + 1))
    log.flush()
    assert sorted(row.text_length for row in written(store)) == [3, 4, 5]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("WHEN THE COFFEE FINALLY ARRIVES", "en"),
        ("cuando por fin llega el café de la mañana", "es"),
        ("wenn der Kaffee endlich auf dem Tisch steht", "de"),
        ("me when", SHORT),
        ("кофе", "cyrillic"),
        ("123 !?", NO_LETTERS),
        ("", NO_LETTERS),
    ],
)
def test_a_language_is_told_where_the_text_is_long_enough(text, code):
    assert language_of(text) == code


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("en", "English"),
        ("cyrillic", "Cyrillic script"),
        ("eo", "language “eo”"),
        (SHORT, "too short to tell"),
    ],
)
def test_languages_have_names(code, name):
    assert language_name(code) == name


def test_a_meme_that_is_kept_knows_how_sure_ocr_was(store, classifier, picture):
    given = decode(draw_picture(1))
    classifier.classify(picture, "", keep=True)
    classifier.classify(given, SAYING, keep=True)
    found = {one.id: one.ocr_confidence for one in store.sources([picture.id, given.id])}
    assert found == {picture.id: pytest.approx(0.9), given.id: None}


def test_a_stored_meme_that_ocr_reads_knows_how_sure_it_was(store, engines, picture):
    store.add_meme(
        picture, text="", text_source=TextSource.NONE, origin="import:test", holdout_share=0.0
    )
    prepare(store, store.memes(), engines.encoder(), engines.ocr, lambda stage, done: None)
    (found,) = store.sources([picture.id])
    assert (found.text, found.ocr_confidence) == (engines.reader.text, pytest.approx(0.9))
