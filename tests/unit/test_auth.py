"""Passwords, tokens and identities."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memeapp.auth import (
    ADMIN_COOKIE,
    ADMIN_SECONDS,
    ANNOTATOR_COOKIE,
    ANNOTATOR_SECONDS,
    CHECKS_AT_ONCE,
    LONGEST_LINE,
    LONGEST_PAUSE,
    REMEMBERED_ADDRESSES,
    RETURN_SECONDS,
    Auth,
    Door,
    Identity,
    TooManyAttempts,
)
from memeapp.errors import NotAllowed

PASSWORD = "correct horse"


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def auth(tmp_path: Path) -> Auth:
    return Auth(tmp_path, PASSWORD)


def test_the_right_password_makes_an_admin(auth: Auth) -> None:
    identity = auth.identity({ADMIN_COOKIE: auth.admin_token(PASSWORD)})
    assert identity == Identity(admin=True)


def test_a_wrong_password_is_refused_with_what_to_do(auth: Auth) -> None:
    with pytest.raises(NotAllowed, match="try again"):
        auth.admin_token("wrong")


def test_an_annotator_token_names_the_annotator_and_makes_no_admin(auth: Auth) -> None:
    identity = auth.identity({ANNOTATOR_COOKIE: auth.annotator_token("a1")})
    assert identity == Identity(admin=False, annotator_id="a1")


def test_admin_and_annotator_at_once(auth: Auth) -> None:
    cookies = {
        ADMIN_COOKIE: auth.admin_token(PASSWORD),
        ANNOTATOR_COOKIE: auth.annotator_token("a1"),
    }
    assert auth.identity(cookies) == Identity(admin=True, annotator_id="a1")


def _swapped(auth: Auth) -> dict[str, str]:
    return {
        ADMIN_COOKIE: auth.annotator_token("a1"),
        ANNOTATOR_COOKIE: auth.admin_token(PASSWORD),
    }


def _cut(auth: Auth) -> dict[str, str]:
    return {ADMIN_COOKIE: auth.admin_token(PASSWORD)[:-1]}


def _changed(auth: Auth) -> dict[str, str]:
    payload, _, rest = auth.annotator_token("a1").partition(".")
    return {ANNOTATOR_COOKIE: payload[::-1] + "." + rest}


@pytest.mark.parametrize("forge", [_swapped, _cut, _changed])
def test_forged_cookies_are_a_visitor(auth: Auth, forge: Callable[[Auth], dict[str, str]]) -> None:
    assert auth.identity(forge(auth)) == Identity()


def test_tokens_of_another_installation_count_for_nothing(auth: Auth, tmp_path: Path) -> None:
    other = Auth(tmp_path / "other", PASSWORD)
    cookies = {
        ADMIN_COOKIE: other.admin_token(PASSWORD),
        ANNOTATOR_COOKIE: other.annotator_token("a1"),
    }
    assert auth.identity(cookies) == Identity()


@settings(deadline=None)  # the first example hashes a password
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_as_a_cookie_is_a_visitor(
    tmp_path_factory: pytest.TempPathFactory, admin: str, annotator: str
) -> None:
    auth = Auth(tmp_path_factory.getbasetemp() / "hostile", "")
    assert auth.identity({ADMIN_COOKIE: admin, ANNOTATOR_COOKIE: annotator}) == Identity()


def test_tokens_expire(tmp_path: Path) -> None:
    clock = Clock()
    auth = Auth(tmp_path, PASSWORD, clock=clock)
    cookies = {
        ADMIN_COOKIE: auth.admin_token(PASSWORD),
        ANNOTATOR_COOKIE: auth.annotator_token("a1"),
    }
    clock.now += ADMIN_SECONDS - 1
    assert auth.identity(cookies).admin
    clock.now += 2
    assert auth.identity(cookies) == Identity(admin=False, annotator_id="a1")
    clock.now += ANNOTATOR_SECONDS
    assert auth.identity(cookies) == Identity()


def test_tokens_survive_a_restart_with_the_same_password(auth: Auth, tmp_path: Path) -> None:
    cookies = {ADMIN_COOKIE: auth.admin_token(PASSWORD)}
    assert Auth(tmp_path, PASSWORD).identity(cookies).admin


def test_a_new_password_ends_admin_tokens_and_keeps_annotators(auth: Auth, tmp_path: Path) -> None:
    cookies = {
        ADMIN_COOKIE: auth.admin_token(PASSWORD),
        ANNOTATOR_COOKIE: auth.annotator_token("a1"),
    }
    changed = Auth(tmp_path, "another one")
    assert changed.identity(cookies) == Identity(admin=False, annotator_id="a1")
    with pytest.raises(NotAllowed):
        changed.admin_token(PASSWORD)


def test_a_password_is_generated_once_and_stays_valid(tmp_path: Path) -> None:
    password = Auth(tmp_path).generate()
    assert password is not None
    assert len(password) >= 16
    second = Auth(tmp_path)
    assert second.generate() is None
    assert second.identity({ADMIN_COOKIE: second.admin_token(password)}).admin


def test_opening_the_data_folder_alone_makes_no_password(tmp_path: Path) -> None:
    Auth(tmp_path)  # as the command line does
    assert Auth(tmp_path).generate() is not None


@pytest.mark.parametrize("password", ["", "anything"])
def test_nobody_is_admin_before_there_is_a_password(tmp_path: Path, password: str) -> None:
    with pytest.raises(NotAllowed):
        Auth(tmp_path).admin_token(password)


def test_a_given_password_is_not_replaced_by_a_generated_one(auth: Auth) -> None:
    assert auth.generate() is None
    assert auth.admin_token(PASSWORD)


def test_no_password_is_stored_in_the_clear_and_only_the_owner_can_read(
    auth: Auth, tmp_path: Path
) -> None:
    files = list(tmp_path.iterdir())
    assert {file.name for file in files} == {"secret.key", "admin.hash"}
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert PASSWORD not in file.read_text()


def check(password: str) -> str:
    if password != PASSWORD:
        raise NotAllowed("wrong")
    return "token"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, without waiting."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


async def guess(door: Door, address: str, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(NotAllowed, match="wrong"):
            await door.token(address, "wrong")


def test_the_pause_grows_with_failures_up_to_a_bound_and_ends_with_the_right_password(
    pauses: list[float],
) -> None:
    async def story() -> None:
        door = Door(check)
        await guess(door, "a", 7)
        assert await door.token("a", PASSWORD) == "token"
        await guess(door, "a")

    asyncio.run(story())
    assert pauses[:7] == sorted(pauses[:7])
    assert pauses[0] < 1
    assert pauses[6] == LONGEST_PAUSE
    assert pauses[7] == pauses[0]


def test_failures_of_one_address_slow_no_other_one(pauses: list[float]) -> None:
    async def story() -> None:
        door = Door(check)
        await guess(door, "a", 7)
        await guess(door, "b")

    asyncio.run(story())
    assert pauses[7] == pauses[0]


def test_only_so_many_addresses_are_remembered(pauses: list[float]) -> None:
    async def story() -> None:
        door = Door(check)
        await guess(door, "first", 3)
        for number in range(REMEMBERED_ADDRESSES):
            await guess(door, str(number))
        await guess(door, "first")

    asyncio.run(story())
    assert pauses[-1] == pauses[0]


def test_an_address_that_pauses_is_refused_at_once_and_the_admin_elsewhere_gets_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        pausing, over = asyncio.Semaphore(0), asyncio.Event()

        async def sleep(seconds: float) -> None:
            pausing.release()
            await over.wait()

        monkeypatch.setattr(asyncio, "sleep", sleep)
        door = Door(check)
        guesses = []
        for number in range(60):
            guesses.append(asyncio.create_task(door.token(f"bad{number}", "wrong")))
            await pausing.acquire()
        with pytest.raises(TooManyAttempts, match="try again"):
            await door.token("bad7", PASSWORD)
        assert await door.token("admin", PASSWORD) == "token"
        over.set()
        answers = await asyncio.gather(*guesses, return_exceptions=True)
        assert all(type(answer) is NotAllowed for answer in answers)

    asyncio.run(story())


def test_who_has_guessed_gives_way_in_the_line_to_who_has_not(pauses: list[float]) -> None:
    go_on = threading.Event()

    def slowly(password: str) -> str:
        assert password == "wrong" or go_on.wait(30)
        return check(password)

    async def story() -> None:
        door = Door(slowly)
        await guess(door, "guesser", 6)
        await guess(door, "admin")  # mistyped once
        line = [asyncio.create_task(door.token(name, PASSWORD)) for name in "xyz"]
        await asyncio.wait(line, timeout=0)
        with pytest.raises(TooManyAttempts):
            await door.token("guesser", PASSWORD)
        line.append(asyncio.create_task(door.token("admin", PASSWORD)))
        await asyncio.wait(line, timeout=0)
        go_on.set()
        assert await asyncio.gather(*line) == ["token"] * 4

    asyncio.run(story())


def test_a_full_line_refuses_at_once_and_few_passwords_are_checked_together() -> None:
    lock, go_on = threading.Lock(), threading.Event()
    now, most = 0, 0

    def slowly(password: str) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        assert go_on.wait(30)
        with lock:
            now -= 1
        return "token"

    async def story() -> None:
        door = Door(slowly)
        line = [asyncio.create_task(door.token(str(number), "")) for number in range(LONGEST_LINE)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyAttempts):
            await door.token("late", "")
        go_on.set()
        assert await asyncio.gather(*line) == ["token"] * LONGEST_LINE
        assert await door.token("late", "") == "token"

    asyncio.run(story())
    assert 1 <= most <= CHECKS_AT_ONCE


@given(st.booleans(), st.one_of(st.none(), st.text(min_size=1)))
def test_an_identity_survives_the_way_through_a_username(
    admin: bool, annotator_id: str | None
) -> None:
    identity = Identity(admin, annotator_id)
    assert Identity.parse(identity.username) == identity


@given(st.one_of(st.none(), st.text()))
def test_an_unknown_username_is_a_visitor(username: str | None) -> None:
    if username is not None and username.startswith(("admin", "annotator:")):
        return
    assert Identity.parse(username) == Identity()


@pytest.mark.parametrize("username", ["admin+", "admin+visitor", "annotator:", "adminx", "+admin"])
def test_a_malformed_username_is_a_visitor(username: str) -> None:
    assert Identity.parse(username) == Identity()


def test_a_personal_link_names_its_annotator_for_a_day_and_is_no_cookie(tmp_path: Path) -> None:
    clock = Clock()
    auth = Auth(tmp_path, PASSWORD, clock=clock)
    token = auth.return_token("a1")
    assert auth.returning(token) == "a1"
    assert auth.identity({ANNOTATOR_COOKIE: token, ADMIN_COOKIE: token}) == Identity()
    clock.now += RETURN_SECONDS
    assert auth.returning(token) == "a1"
    clock.now += 1
    with pytest.raises(NotAllowed, match="run out: it is valid for 24 hours"):
        auth.returning(token)


@pytest.mark.parametrize(
    "forge",
    [
        lambda auth: "",
        lambda auth: "ImExIg.aXQga.c2lnbmF0dXJl",
        lambda auth: auth.return_token("a1")[:-1],
        lambda auth: "x" + auth.return_token("a1"),
        lambda auth: auth.annotator_token("a1"),
        lambda auth: auth.admin_token(PASSWORD),
    ],
    ids=["nothing", "made up", "cut off", "changed", "a cookie", "an admin's"],
)
def test_what_is_no_personal_link_is_refused(auth: Auth, forge: Callable[[Auth], str]) -> None:
    with pytest.raises(NotAllowed, match="not valid here; copy it once more"):
        auth.returning(forge(auth))
