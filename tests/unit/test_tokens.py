"""Tokens of programs: who is let in, and what is kept of a secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memeapp.errors import BadInput, NotAllowed, NotFound
from memeapp.store import Store
from memeapp.tokens import RETRAIN, BadToken, TokenDesk


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(store: Store, clock: Clock) -> TokenDesk:
    return TokenDesk(store, clock)


def test_a_token_lets_its_program_in_and_its_use_is_seen(desk: TokenDesk) -> None:
    made, secret = desk.make(" nightly ")
    assert desk.all()[0].last_used_at is None
    assert desk.check(f"Bearer {secret}", RETRAIN).id == made.id
    (token,) = desk.all()
    assert (token.name, token.scopes) == ("nightly", (RETRAIN,))
    assert token.last_used_at is not None


def test_the_last_use_is_written_down_once_a_minute(desk: TokenDesk, clock: Clock) -> None:
    _, secret = desk.make("nightly")
    desk.check(f"Bearer {secret}", RETRAIN)
    first = desk.all()[0].last_used_at
    desk.check(f"bearer {secret}", RETRAIN)
    assert desk.all()[0].last_used_at == first
    clock.time += timedelta(minutes=2)
    desk.check(f"Bearer {secret}", RETRAIN)
    assert desk.all()[0].last_used_at != first


def test_a_secret_has_256_random_bits_and_is_not_kept(desk: TokenDesk, store: Store) -> None:
    made = [desk.make("nightly")[1] for _ in range(3)]
    assert len(set(made)) == 3
    assert all(len(secret.removeprefix("memeapp_")) == 43 for secret in made)  # 256 / 6
    store.close()
    for file in store.folder.iterdir():
        kept = file.read_bytes() if file.is_file() else b""
        for secret in made:
            assert secret.encode() not in kept
            assert secret.removeprefix("memeapp_").encode() not in kept


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "{secret}", "Token {secret}"],
)
def test_a_header_without_a_token_says_how_to_send_one(desk: TokenDesk, header: str | None) -> None:
    _, secret = desk.make("nightly")
    with pytest.raises(BadToken, match="in the header Authorization, as 'Bearer"):
        desk.check(header and header.format(secret=secret), RETRAIN)


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s + "x", str.lower, lambda s: "é"])
def test_a_wrong_secret_is_refused(desk: TokenDesk, change) -> None:  # type: ignore[no-untyped-def]
    _, secret = desk.make("nightly")
    with pytest.raises(BadToken, match="not known here"):
        desk.check(f"Bearer {change(secret)}", RETRAIN)
    assert desk.all()[0].last_used_at is None


def test_a_digest_is_no_secret(desk: TokenDesk) -> None:
    made, _ = desk.make("nightly")
    with pytest.raises(BadToken, match="not known here"):
        desk.check(f"Bearer {made.digest}", RETRAIN)


def test_a_revoked_token_lets_nobody_in(desk: TokenDesk) -> None:
    made, secret = desk.make("nightly")
    gone = desk.revoke(made.id)
    assert desk.revoke(made.id) == gone
    with pytest.raises(BadToken, match="'nightly' was revoked"):
        desk.check(f"Bearer {secret}", RETRAIN)
    with pytest.raises(NotFound):
        desk.revoke(made.id + 1)


def test_a_token_expires_at_its_time(desk: TokenDesk, clock: Clock) -> None:
    _, secret = desk.make("nightly", days=7)
    clock.time += timedelta(days=7, seconds=-1)
    desk.check(f"Bearer {secret}", RETRAIN)
    clock.time += timedelta(seconds=1)
    with pytest.raises(BadToken, match="'nightly' has expired"):
        desk.check(f"Bearer {secret}", RETRAIN)
    assert desk.expired(desk.all()[0])


def test_a_token_is_good_for_its_scopes_alone(desk: TokenDesk) -> None:
    _, secret = desk.make("nightly")
    with pytest.raises(NotAllowed, match="is good for retrain, not for export") as refused:
        desk.check(f"Bearer {secret}", "export")
    assert not isinstance(refused.value, BadToken)


@pytest.mark.parametrize(
    ("name", "days", "scopes", "words"),
    [
        ("", None, ["retrain"], "name of a token"),
        ("x" * 61, None, ["retrain"], "name of a token"),
        ("two\nlines", None, ["retrain"], "name of a token"),
        ("nightly", 0, ["retrain"], "cannot last 0 days"),
        ("nightly", 10**9, ["retrain"], "cannot last 1,000,000,000 days"),
        ("nightly", None, ["everything"], "good for everything"),
        ("nightly", None, [], "good for nothing"),
    ],
)
def test_what_cannot_be_a_token_is_refused(
    desk: TokenDesk, name: str, days: int | None, scopes: list[str], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        desk.make(name, days, scopes)
    assert desk.all() == []
