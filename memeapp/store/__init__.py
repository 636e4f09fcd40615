"""`Store`: everything that lasts. The only module besides the migrations that speaks SQL."""

from __future__ import annotations

from memeapp.store.audit import Audit
from memeapp.store.copies import Copies
from memeapp.store.features import Features, text_key
from memeapp.store.inputs import Inputs
from memeapp.store.jobs import Jobs
from memeapp.store.memes import Memes
from memeapp.store.templates import Templates
from memeapp.store.tokens import Tokens
from memeapp.store.triggers import Triggers
from memeapp.store.votes import Votes

__all__ = ["Store", "text_key"]


class Store(Memes, Templates, Features, Votes, Jobs, Audit, Inputs, Triggers, Tokens, Copies):
    """The database and the pictures of one data folder.

    Safe to share between threads, and to open in several processes at once. Every write is on the
    disk when its method returns; `NotSaved` says that it is not, for want of a disk that takes it.
    """
