"""`Settings.from_env()`: the only reader of the environment."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from memeapp.errors import BadSetting


def _setting(default: Any, parse: Callable[[str], Any], help: str) -> Any:
    return field(default=default, metadata={"parse": parse, "help": help})


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share < 1:
        raise ValueError("must be at least 0 and below 1")
    return share


def _flag(text: str) -> bool:
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in answers:
        raise ValueError("must be yes or no")
    return answers[text.lower()]


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError("must be between 1 and 65535")
    return port


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[\w./~-]+", text, re.ASCII):
        raise ValueError("must be a path such as /memes")
    path = text.strip("/")
    return f"/{path}" if path else ""


def _networks(text: str) -> str:
    return ",".join(str(ipaddress.ip_network(part.strip())) for part in text.split(","))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


@dataclass(frozen=True, slots=True)
class Settings:
    """Every knob. Each is read from `MEMEAPP_<NAME>`; the table in the README is made from this."""

    data: Path = _setting(
        Path("memeapp-data"),
        Path,
        "folder of the database, the pictures and the versions trained here",
    )
    models: Path = _setting(
        Path(__file__).resolve().parent.parent / "models",
        Path,
        "folder of the shipped model version (read only)",
    )
    host: str = _setting("127.0.0.1", str, "address to listen on; 0.0.0.0 for every interface")
    port: int = _setting(7860, _port, "port to listen on")
    root_path: str = _setting("", _prefix, "path prefix that a proxy in front strips: `/memes`")
    trusted_proxies: str = _setting(
        "",
        _networks,
        "addresses or networks, separated by commas, of the proxies that are believed when they "
        "say whom they ask for; empty: none",
    )
    secure_cookies: bool = _setting(
        False,
        _flag,
        "send cookies over HTTPS only; set it behind a TLS proxy",
    )
    admin_password: str = _setting(
        "", str, "admin password; empty: one is generated and printed at the first start"
    )
    encoder: str = _setting(
        "embedded",
        str,
        "encoder for training and for memes: `embedded`, or an open_clip model: "
        "`ViT-L-14/openai` or `local-dir:/path`",
    )
    ocr: str = _setting("auto", str, "OCR engine: `auto`, `rapidocr` or `easyocr`")
    labels: Path | None = _setting(
        None, Path, "JSON file with another label schema; empty: MAMI's five labels"
    )
    holdout_share: float = _setting(
        0.2, _share, "share of template families held out for evaluation"
    )
    gate_margin: float = _setting(
        0.02,
        _share,
        "a new version answers by itself if A and B on held-out memes are, with 90 % certainty, "
        "not worse by more than this",
    )
    votes_per_meme: int = _setting(
        3, _positive, "answers a meme wants in a new session, unless the admin says otherwise"
    )
    max_upload_mb: int = _setting(20, _positive, "largest picture file, in megabytes")
    max_import_mb: int = _setting(
        20_000, _positive, "largest import from the Admin page, packed or not, in megabytes"
    )
    max_text: int = _setting(2000, _positive, "longest text of a meme, in characters")
    input_days: int = _setting(
        90,
        _positive,
        "days for which is kept what drift is seen by: lengths, languages and scores of what was "
        "classified, never a text or a picture",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Raises:
            BadSetting: with the variable, its value and what was expected.
        """
        values: dict[str, Any] = {}
        for knob in fields(cls):
            variable = f"MEMEAPP_{knob.name.upper()}"
            text = environ.get(variable, "").strip()
            if not text:
                continue
            try:
                values[knob.name] = knob.metadata["parse"](text)
            except ValueError as error:
                raise BadSetting(
                    f"{variable}={text!r} is not usable: {error} ({knob.metadata['help']})."
                ) from error
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """The environment in which `from_env` gives these settings again, for a child process."""
        return {
            f"MEMEAPP_{knob.name.upper()}": str(value)
            for knob in fields(self)
            if (value := getattr(self, knob.name)) not in (None, "")
        }
