"""The text of a meme: normalised for the encoders, checked when it comes from outside."""

from __future__ import annotations

import re
import unicodedata

from memeapp.errors import BadText

_URL = re.compile(r"https?://\S*|\bwww\.\S+", re.IGNORECASE)
_DIGIT_OR_UNDERSCORE = re.compile(r"[\d_]")
_NOT_LETTERS = re.compile(r"[^a-z]+")


def normalise(text: str) -> str:
    """Words of a-z with single spaces between them, as SemiMemes cleans its transcriptions.

    In this order: URLs removed; digits and underscores to space; white space collapsed; NFKD to
    ASCII (what has no ASCII form is dropped), lower case, everything else to space. Idempotent.
    Text without a Latin letter becomes "".
    """
    words = _DIGIT_OR_UNDERSCORE.sub(" ", _URL.sub(" ", text)).split()
    ascii_only = unicodedata.normalize("NFKD", " ".join(words)).encode("ascii", "ignore").decode()
    return _NOT_LETTERS.sub(" ", ascii_only.lower()).strip()


def check_length(text: str, limit: int) -> str:
    """The text without control characters and outer white space; line ends become `\\n`.

    Lone surrogates go too: no database or file takes them.

    Raises:
        BadText: if more than `limit` characters are left.
    """
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    clean = "".join(
        char for char in unix if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
    ).strip()
    if len(clean) > limit:
        raise BadText(
            f"The text has {len(clean):,} characters, {limit:,} are allowed; shorten it to the "
            "words that are on the meme."
        )
    return clean
