import pytest
from conftest import FakeEncoder, FakeOcr

from memeapp.errors import BadSetting, Unavailable
from memeapp.service import engines as module
from memeapp.service.engines import Engines


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
