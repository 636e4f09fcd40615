"""Who is asking: the admin's password, signed cookie tokens, and the identity they prove."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from memeapp.errors import NotAllowed

ADMIN_COOKIE = "memeapp_admin"
ANNOTATOR_COOKIE = "memeapp_annotator"
ADMIN_SECONDS = 12 * 3600
ANNOTATOR_SECONDS = 30 * 24 * 3600
RETURN_SECONDS = 24 * 3600
LONGEST_PAUSE = 2.0
"""Seconds; short, because who shares an address with somebody who guesses waits as well."""
CHECKS_AT_ONCE = 2
LONGEST_LINE = 32
REMEMBERED_ADDRESSES = 1000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request comes from. Admin and annotator at once is possible; neither is a visitor."""

    admin: bool = False
    annotator_id: str | None = None

    @property
    def username(self) -> str:
        """The identity as one string, which gradio carries from the request to the handlers."""
        roles = ["admin"] if self.admin else []
        if self.annotator_id is not None:
            roles.append(f"annotator:{self.annotator_id}")
        return "+".join(roles) or "visitor"

    @classmethod
    def parse(cls, username: str | None) -> Identity:
        """The inverse of `username`; anything else is a visitor."""
        first, _, rest = (username or "").partition("+")
        admin = first == "admin"
        role = rest if admin else username or ""
        annotator_id = role.removeprefix("annotator:") if role.startswith("annotator:") else None
        identity = cls(admin, annotator_id or None)
        return identity if identity.username == username else cls()


class _Signer(TimestampSigner):
    """A timestamp signer whose clock can be handed in."""

    def __init__(self, *args: Any, clock: Callable[[], float] = time.time, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


class Auth:
    """Checks the admin password and signs what the cookies carry.

    The argon2 hash of the password and the signing key lie in `folder`, readable by the owner
    only. Without a given or a stored password nobody is admin until `generate` has made one.
    """

    def __init__(
        self, folder: Path, password: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._hasher = PasswordHasher()
        key = _read_or_create(folder / "secret.key", lambda: secrets.token_hex(32))
        self._file = folder / "admin.hash"
        self._hash = self._password_hash(self._file, password)
        self._serializer = URLSafeTimedSerializer(
            key, signer=_Signer, signer_kwargs={"clock": clock, "digest_method": hashlib.sha256}
        )

    def _password_hash(self, file: Path, password: str) -> str:
        stored = file.read_text().strip() if file.exists() else ""
        if not password or self._verify(stored, password):
            return stored
        _write_private(file, hashed := self._hasher.hash(password))
        return hashed

    def generate(self) -> str | None:
        """Make an admin password if there is none yet; None if there is one.

        Only who shows it to a person may call this: it cannot be had a second time.
        """
        if self._hash:
            return None
        password = secrets.token_urlsafe(12)
        self._hash = self._password_hash(self._file, password)
        return password

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return bool(hashed) and self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def admin_token(self, password: str) -> str:
        """A token for the admin cookie, valid for `ADMIN_SECONDS`.

        Raises:
            NotAllowed: the password is wrong.
        """
        if not self._verify(self._hash, password):
            raise NotAllowed("That is not the admin password; try again.")
        return self._dumps("admin", self._fingerprint)

    def annotator_token(self, annotator_id: str) -> str:
        """A token for the annotator cookie, valid for `ANNOTATOR_SECONDS`."""
        return self._dumps("annotator", annotator_id)

    def return_token(self, annotator_id: str) -> str:
        """A token for a personal link, by which an annotator goes on in another browser; valid
        for `RETURN_SECONDS`. It is no cookie."""
        return self._dumps("return", annotator_id)

    def returning(self, token: str) -> str:
        """Whose personal link this is.

        Raises:
            NotAllowed: it has run out, or was not made here.
        """
        try:
            return str(self._serializer.loads(token, max_age=RETURN_SECONDS, salt="return"))
        except SignatureExpired as error:
            raise NotAllowed(
                f"This link has run out: it is valid for {RETURN_SECONDS // 3600} hours. Make a "
                "new one where you are still in the session, or ask whoever runs it."
            ) from error
        except BadData as error:
            raise NotAllowed(
                "This link is not valid here; copy it once more, from its first character to its "
                "last."
            ) from error

    def identity(self, cookies: Mapping[str, str]) -> Identity:
        """Who sent these cookies. Forged, expired and foreign ones count for nothing."""
        fingerprint = self._loads("admin", cookies.get(ADMIN_COOKIE), ADMIN_SECONDS)
        annotator_id = self._loads("annotator", cookies.get(ANNOTATOR_COOKIE), ANNOTATOR_SECONDS)
        return Identity(fingerprint == self._fingerprint, annotator_id)

    @property
    def _fingerprint(self) -> str:
        """Ties admin tokens to the password: a new password has a new hash."""
        return hashlib.sha256(self._hash.encode()).hexdigest()[:16]

    def _dumps(self, salt: str, value: str) -> str:
        token = self._serializer.dumps(value, salt=salt)
        return token if isinstance(token, str) else token.decode()

    def _loads(self, salt: str, token: str | None, seconds: int) -> str | None:
        if not token:
            return None
        try:
            value = self._serializer.loads(token, max_age=seconds, salt=salt)
        except BadData:
            return None
        return value if isinstance(value, str) else None


class TooManyAttempts(NotAllowed):
    """The password was not looked at: too many are being checked."""


class Door:
    """Has few passwords checked at once, so that guessing is slow and keeps nobody else waiting.

    An address has one attempt at a time. With each wrong one in a row the attempt lasts longer, and
    the line it may still join is half as long: who guesses gives way to who does not. Behind a
    proxy that is not trusted (MEMEAPP_TRUSTED_PROXIES) all share the address of the proxy: one
    person's guessing then holds up the others too.
    """

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check
        self._checks = asyncio.Semaphore(CHECKS_AT_ONCE)  # argon2 takes 64 MB each time
        self._line = 0
        self._trying: set[str] = set()
        self._failures: dict[str, int] = {}

    async def token(self, address: str, password: str) -> str:
        """What `check` makes of the password.

        Raises:
            TooManyAttempts: at once, while the address tries already or the line is full.
            NotAllowed: the password is wrong; after a pause of at most `LONGEST_PAUSE` seconds.
        """
        failures = self._failures.get(address, 0)
        if address in self._trying or self._line >= max(CHECKS_AT_ONCE, LONGEST_LINE >> failures):
            raise TooManyAttempts(
                "Other passwords are being checked; wait a few seconds and try again."
            )
        self._trying.add(address)
        try:
            token = await self._checked(password)
            self._failures.pop(address, None)
            return token
        except NotAllowed:
            self._failures.pop(address, None)
            self._failures[address] = failures + 1
            if len(self._failures) > REMEMBERED_ADDRESSES:
                del self._failures[next(iter(self._failures))]  # failed longest ago
            await asyncio.sleep(min(LONGEST_PAUSE, 0.25 * 2 ** min(failures, 10)))
            raise
        finally:
            self._trying.discard(address)

    async def _checked(self, password: str) -> str:
        self._line += 1
        try:
            async with self._checks:
                return await asyncio.to_thread(self._check, password)
        finally:
            self._line -= 1


def _read_or_create(file: Path, make: Callable[[], str]) -> str:
    if not file.exists():
        _write_private(file, make())
    return file.read_text().strip()


def _write_private(file: Path, text: str) -> None:
    """Write through a temporary file, readable by the owner only from its first byte."""
    temporary = file.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
