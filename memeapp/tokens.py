"""Tokens by which programs are let in: made, checked, revoked."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from memeapp.errors import BadInput, NotAllowed, NotSaved
from memeapp.store import Store
from memeapp.store.connections import moment
from memeapp.store.tokens import Token

RETRAIN = "retrain"
METRICS = "metrics"
SCOPES = (RETRAIN, METRICS)
"""What a token can be good for."""
PREFIX = "memeapp_"
LONGEST_NAME = 60
MOST_DAYS = 3650
LONGEST_SECRET = 200
BETWEEN_USES = timedelta(minutes=1)
"""Its last use is written down no more often."""


class BadToken(NotAllowed):
    """A program showed no token, or one that lets nobody in."""


class TokenDesk:
    """Makes and checks tokens.

    A secret has 256 random bits: nobody finds one by trying, so that a wrong one needs no pause,
    and its digest needs no salt.
    """

    def __init__(
        self, store: Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._clock = clock

    def make(
        self, name: str, days: int | None = None, scopes: Sequence[str] = (RETRAIN,)
    ) -> tuple[Token, str]:
        """A new token and its secret, which cannot be had a second time.

        Args:
            name: of the program, for people.
            days: after which it lets nobody in any more; never if None.

        Raises:
            BadInput: a name, number of days or scope that cannot be.
        """
        name = name.strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise BadInput(
                f"{name[:80]!r} cannot be the name of a token: give it 1 to {LONGEST_NAME} "
                "characters on one line."
            )
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise BadInput(f"A token cannot last {days:,} days; say 1 to {MOST_DAYS:,}, or none.")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise BadInput(
                f"A token cannot be good for {', '.join(scopes)[:80] or 'nothing'}; it can be for "
                f"{', '.join(SCOPES)}."
            )
        secret = PREFIX + secrets.token_urlsafe(32)
        expires = None if days is None else moment(self._clock() + timedelta(days=days))
        return self._store.add_token(name, _digest(secret), scopes, expires), secret

    def all(self) -> list[Token]:
        """Newest first, those that let nobody in any more too."""
        return self._store.tokens()

    def revoke(self, id: int) -> Token:
        """From now on it lets nobody in. Raises: NotFound."""
        return self._store.revoke_token(id)

    def check(self, authorization: str | None, scope: str) -> Token:
        """Whose program asks.

        Args:
            authorization: the header of that name.

        Raises:
            BadToken: there is no token in it, or one that is unknown, revoked or expired.
            NotAllowed: it is not good for `scope`.
        """
        scheme, _, secret = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise BadToken(
                "Send a token in the header Authorization, as 'Bearer …'; an admin makes one on "
                "the Admin page."
            )
        digest = _digest(secret.strip()[:LONGEST_SECRET])
        token = self._store.token_of(digest)
        if token is None or not hmac.compare_digest(token.digest, digest):
            raise BadToken("This token is not known here; make a new one on the Admin page.")
        if token.revoked_at is not None:
            raise BadToken(f"The token {token.name!r} was revoked; make a new one.")
        if self.expired(token):
            raise BadToken(f"The token {token.name!r} has expired; make a new one.")
        if scope not in token.scopes:
            raise NotAllowed(
                f"The token {token.name!r} is good for {', '.join(token.scopes)}, not for {scope}."
            )
        self._used(token)
        return token

    def expired(self, token: Token) -> bool:
        return token.expires_at is not None and token.expires_at <= moment(self._clock())

    def _used(self, token: Token) -> None:
        time = self._clock()
        if token.last_used_at is None or token.last_used_at < moment(time - BETWEEN_USES):
            with contextlib.suppress(NotSaved):  # a full disk keeps no program out
                self._store.token_used(token.id, moment(time))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
