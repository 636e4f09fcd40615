"""What the admin does through the pages, done and written down in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from memeapp.store.audit import ADMIN
from memeapp.ui.label_routes import told

if TYPE_CHECKING:
    from memeapp.wiring import App

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Audited:
    """Does what an admin asks for, whom `admin_only` has let through, and notes it.

    What fails is not noted: nothing was changed.
    """

    app: App

    def __call__(
        self, what: str, about: str, act: Callable[[], T], **details: str | float | bool | None
    ) -> T:
        """What `act` gives; its errors as `told` has them.

        Args:
            what: a word such as "session.close".
            about: the name of the thing: no secret, no text of a meme.
        """
        done = told(act)
        told(lambda: self.app.store.note(ADMIN, what, about, details=details))
        return done
