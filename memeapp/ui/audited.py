"""What the admin and programs do through the pages, written down and then done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from memeapp.errors import NotSaved
from memeapp.store import Store
from memeapp.store.audit import ADMIN
from memeapp.ui.label_routes import told

if TYPE_CHECKING:
    from memeapp.wiring import App

T = TypeVar("T")

FAILED = ".failed"
"""Ending of the word in the line that takes another one back."""

log = logging.getLogger(__name__)


def noted(
    store: Store,
    who: str,
    what: str,
    about: str,
    act: Callable[[], T],
    details: Mapping[str, str | float | bool | None] | None = None,
) -> T:
    """What `act` gives. It is noted first: what cannot be noted does not come to pass.

    If `act` fails a second line says so, since lines never change: `what` with `FAILED`.

    Raises:
        NotSaved: it cannot be noted; nothing was done.
        Exception: whatever `act` raises.
    """
    store.note(who, what, about, details=details)
    try:
        return act()
    except Exception:
        try:
            store.note(who, what + FAILED, about)
        except NotSaved as error:
            log.warning("%s of %s failed, which could not be noted: %s", what, about, error)
        raise


@dataclass(frozen=True, slots=True)
class Audited:
    """Notes what an admin asks for, whom `admin_only` has let through, and does it."""

    app: App

    def __call__(
        self, what: str, about: str, act: Callable[[], T], **details: str | float | bool | None
    ) -> T:
        """What `act` gives, see `noted`; errors as `told` has them.

        Args:
            what: a word such as "session.close".
            about: the name of the thing: no secret, no text of a meme.
        """
        return told(lambda: noted(self.app.store, ADMIN, what, about, act, details))
