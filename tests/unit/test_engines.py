import pytest
from conftest import FakeEncoder, FakeOcr

from memeapp.errors import BadSetting, Unavailable
from memeapp.service import engines as module
from memeapp.service.engines import Engines, plain


@pytest.fixture
def opened(monkeypatch):
    """Records what is opened; `clip` and `easyocr` cannot be had, `typo` does not exist."""
    calls = []

    def open_encoder(spec):
        calls.append(spec)
        if spec == "clip":
            raise Unavailable("no weights here")
        if spec == "typo":
            raise BadSetting("no such encoder")
        return FakeEncoder()

    def open_ocr(setting):
        calls.append(setting)
        if setting == "easyocr":
            raise Unavailable("no models here")
        return FakeOcr()

    monkeypatch.setattr(module, "open_encoder", open_encoder)
    monkeypatch.setattr(module, "open_ocr", open_ocr)
    return calls


def test_each_engine_is_opened_once(opened):
    engines = Engines("embedded", "auto")
    assert engines.encoder() is engines.encoder() is engines.encoder_for("fake-1")
    assert engines.ocr() is engines.ocr()
    assert opened == ["embedded", "auto"]
    assert engines.notices == ()


def test_a_missing_encoder_gives_way_to_the_embedded_one_and_is_asked_once(opened, caplog):
    engines = Engines("clip", "auto")
    engines.encoder()
    engines.encoder()
    assert opened == ["clip", "embedded"]
    (notice,) = engines.notices
    assert "clip" in notice
    assert "embedded" in notice
    assert "no weights here" in caplog.text


def test_a_missing_ocr_engine_gives_way_to_rapidocr(opened):
    engines = Engines("embedded", "easyocr")
    engines.ocr()
    assert opened == ["easyocr", "rapidocr"]
    assert "no models here" in engines.notices[0]


def test_a_wrong_setting_is_an_error_and_not_a_fall_back(opened):
    with pytest.raises(BadSetting):
        Engines("typo", "auto").encoder()


def test_the_wanted_encoder_is_named_by_its_id_once_it_is_open(opened):
    engines = Engines("embedded", "auto")
    assert engines.wanted == "embedded"
    engines.encoder()
    assert engines.wanted == "fake-1"


def test_a_missing_encoder_is_looked_for_again_only_when_asked(opened):
    engines = Engines("clip", "easyocr")
    engines.encoder()
    engines.ocr()
    engines.look_again()
    assert len(engines.notices) == 1  # about the OCR engine
    engines.encoder()
    assert opened.count("clip") == 2
    assert len(engines.notices) == 2


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("embedded-1", "embedded"),
        ("embedded", "embedded"),
        ("ViT-L-14/openai", "ViT-L-14/openai"),
        ("local-dir:/a#b/clip#0123456789ab", "local-dir:/a#b/clip"),
    ],
)
def test_people_name_an_encoder_without_number_and_hash(id, name):
    assert plain(id) == name
