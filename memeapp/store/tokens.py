"""Tokens of programs: of their secrets only the digests are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memeapp.errors import NotFound
from memeapp.store.connections import Connections, now


@dataclass(frozen=True, slots=True)
class Token:
    """What a program shows to be let in, without the secret itself. Times as the store has them."""

    id: int
    name: str
    digest: str
    """SHA-256 of the secret, hexadecimal."""
    scopes: tuple[str, ...]
    """What it is good for."""
    made_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class Tokens(Connections):
    """The tokens, those that are good for nothing any more too."""

    def add_token(
        self, name: str, digest: str, scopes: Sequence[str], expires_at: str | None = None
    ) -> Token:
        """Keep a token of which this is the digest."""
        with self._writing():
            number = self._insert(
                "tokens",
                {
                    "name": name,
                    "digest": digest,
                    "scopes": json.dumps(list(scopes)),
                    "made_at": now(),
                    "expires_at": expires_at,
                },
            )
        return self.token(number)

    def token(self, id: int) -> Token:
        """The token of this number. Raises: NotFound."""
        row = next(self._db.query("SELECT * FROM tokens WHERE id = ?", [id]), None)
        if row is None:
            raise NotFound(f"There is no token {id}.")
        return _token(row)

    def tokens(self) -> list[Token]:
        """All of them, newest first."""
        return [_token(row) for row in self._db.query("SELECT * FROM tokens ORDER BY id DESC")]

    def token_of(self, digest: str) -> Token | None:
        """The token of this digest, if there is one."""
        row = next(self._db.query("SELECT * FROM tokens WHERE digest = ?", [digest]), None)
        return None if row is None else _token(row)

    def token_used(self, id: int, at: str) -> None:
        """Write down that it was used then."""
        with self._writing() as db:
            db.execute("UPDATE tokens SET last_used_at = ? WHERE id = ?", [at, id])

    def revoke_token(self, id: int) -> Token:
        """From now on it lets nobody in; done twice it is the same. Raises: NotFound."""
        with self._writing() as db:
            db.execute(
                "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", [now(), id]
            )
        return self.token(id)


def _token(row: Mapping[str, Any]) -> Token:
    return Token(**{**row, "scopes": tuple(json.loads(row["scopes"]))})
