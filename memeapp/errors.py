"""The error tree. Every message says what was wrong, with which value, and what to do."""

from __future__ import annotations


class MemeAppError(Exception):
    """Base of everything the app raises on purpose; its text may be shown to the user."""


class BadInput(MemeAppError):
    """Something a person or a file brought is unusable; nothing was stored."""


class BadPicture(BadInput):
    """Bytes that are no picture, or not one the app will open."""


class BadText(BadInput):
    """A text that is too long."""


class BadTable(BadInput):
    """A file of rows with a missing column, a wrong value or an unknown name."""


class BadVote(BadInput):
    """A vote that names unknown labels or contradicts itself."""


class BadSetting(BadInput):
    """An environment variable or option with an impossible value."""


class NotFound(MemeAppError):
    """No meme, version, job or annotator of that name."""


class NotAllowed(MemeAppError):
    """The sender may not do this."""


class AlreadyVoted(MemeAppError):
    """This annotator has judged this meme, or the meme has all the votes it wants."""


class Busy(MemeAppError):
    """A job of this kind is queued or running; there is one at a time."""


class Mismatch(MemeAppError):
    """A model, an encoder or a schema do not belong together; the message names both sides."""


class TooFewLabels(MemeAppError):
    """Not enough votes to learn from; the message says how many are missing."""


class Unavailable(MemeAppError):
    """Weights or a package that this machine cannot provide."""


class NotSaved(MemeAppError):
    """The database could not be written: what was sent is not saved, all that was before is."""


class DiskFull(NotSaved):
    """There is no room for what was sent; nothing of it is kept."""


class Failed(MemeAppError):
    """Workers that fail again and again; the message says on what."""


class Cancelled(MemeAppError):
    """Somebody asked the job to stop."""
