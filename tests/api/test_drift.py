"""What comes in beside what was learned, over HTTP: for the admin alone."""

from __future__ import annotations

import httpx
import pytest

from memeapp.errors import Mismatch
from memeapp.service.compared import Bar, Row, Verdict
from memeapp.service.drift import Report
from memeapp.service.shift import Shift
from tests.api.conftest import FORGED, Hall

REPORT = Report(
    version="v0002",
    about="v0002 learned from 300 memes that are here.",
    recent=80,
    days=7,
    rows=(
        Row(
            "Length of texts",
            "median 31 characters",
            "median 78 characters",
            Verdict.APART,
            "Texts are longer.",
            Shift(0.4, 0.0001),
            (Bar("0 to 50", 0.8, 0.1), Bar("50 to 100", 0.2, 0.9)),
        ),
        Row("OCR's confidence", "", "", Verdict.UNKNOWN, "Nothing to compare with."),
    ),
    note="What came in is not like what v0002 learned from. Texts are longer.",
)


@pytest.mark.parametrize("who", ["visitor", "annotator", "forged"])
def test_nobody_but_the_admin_gets_the_comparison(hall: Hall, who: str) -> None:
    client = hall.visitor()
    if who == "annotator":
        client = hall.person(hall.room()).http
    elif who == "forged":
        client.cookies.set("memeapp_admin", FORGED)
    reply = client.get("drift")
    assert reply.status_code == 403
    assert "rows" not in reply.json()


def test_the_admin_gets_the_rows_and_the_note(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hall.app.drift, "found", REPORT)
    answer = hall.admin().get("drift").json()
    assert answer["note"] == REPORT.note
    longer, missing = answer["rows"]
    assert longer["verdict"] == "apart"
    assert longer["shift"] == {"index": 0.4, "chance": 0.0001}
    assert longer["bars"][1] == {"name": "50 to 100", "training": 0.2, "recent": 0.9}
    assert missing["shift"] is None


def test_what_keeps_it_from_comparing_is_a_sentence(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hall.app.drift, "error", Mismatch("Version v0002 cannot be loaded."))
    reply: httpx.Response = hall.admin().get("drift")
    assert reply.status_code >= 400
    assert reply.json()["detail"] == "Version v0002 cannot be loaded."
