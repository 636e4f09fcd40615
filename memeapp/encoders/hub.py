"""Which pretrained weights open_clip knows and whether this machine can have them: no waiting."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from huggingface_hub import constants, get_session, try_to_load_from_cache

from memeapp.errors import BadSetting, Unavailable

PATIENCE = 2.0
"""Seconds that the hub has to answer before its weights count as out of reach."""

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""What open_clip looks for first, in a folder and in a repository; neither is a pickle."""

_OLD = "open_clip_pytorch_model.bin"
_TABLES = "_open_clip_tables"
_offline = threading.Lock()


@dataclass(frozen=True, slots=True)
class Pretrained:
    """One row of open_clip's table: architecture and tag, and where the weights are."""

    architecture: str
    tag: str
    quick_gelu: bool
    """Whether the weights were trained with QuickGELU; open_clip itself only warns."""
    files: tuple[tuple[str, tuple[str, ...]], ...]
    """Repositories that are needed, each with file names of which one must be there."""

    @property
    def id(self) -> str:
        return f"{self.architecture}/{self.tag}"

    def is_cached(self) -> bool:
        """Whether weights and tokenizer lie in the hub's cache, so that no network is needed."""
        return all(
            any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
            for repository, names in self.files
        )

    def is_within_reach(self) -> bool:
        """Whether the hub answers for the repository of the weights, asked once."""
        url = f"{constants.ENDPOINT}/api/models/{self.files[0][0]}"
        answered = threading.Event()

        def knock() -> None:
            with suppress(Exception):  # Whatever went wrong, the weights cannot be had.
                if get_session().head(url, timeout=PATIENCE).is_success:
                    answered.set()

        # In a thread, because no timeout covers a name server that keeps silent.
        thread = threading.Thread(target=knock, daemon=True)
        thread.start()
        thread.join(PATIENCE + 0.5)
        return answered.is_set()


def find_pretrained(spec: str) -> Pretrained:
    """Look `ARCHITECTURE/TAG` up in open_clip's table.

    Raises:
        BadSetting: if it is not there; near matches are named.
        Unavailable: if open_clip is not installed.
    """
    root = _root()
    known: dict[str, dict[str, dict[str, Any]]] = _tables(root)._PRETRAINED
    architecture, _, tag = spec.partition("/")
    row = known.get(architecture, {}).get(tag)
    if row is None:
        every = [f"{name}/{tag}" for name, tags in known.items() for tag in tags]
        near = difflib.get_close_matches(spec, every, n=4, cutoff=0.4)
        if spec.startswith(("/", "~", ".")):
            near = [f"local-dir:{spec}"]
        hint = f"did you mean {', '.join(near)}? Otherwise take" if near else "take"
        raise BadSetting(
            f"There is no encoder {spec!r}: {hint} `embedded`, an open_clip model as "
            "ARCHITECTURE/TAG, or local-dir:/path."
        )
    repository, _, name = row["hf_hub"].rpartition("/")
    weights = (str(Path(name).with_suffix(".safetensors")), name) if name else (*WEIGHTS, _OLD)
    files: list[tuple[str, tuple[str, ...]]] = [(repository, weights)]
    path = root / "model_configs" / f"{architecture}.json"
    text = json.loads(path.read_text(encoding="utf-8"))["text_cfg"]
    if tokenizer := text.get("hf_tokenizer_name"):
        files.append((tokenizer, ("tokenizer_config.json",)))
    if tower := text.get("hf_model_name"):
        files.append((tower, ("config.json",)))
    return Pretrained(architecture, tag, row.get("quick_gelu", False), tuple(files))


@contextmanager
def no_network(forbidden: bool) -> Iterator[None]:
    """Forbid the hub's client the network meanwhile: out of reach, it would retry for 46 s."""
    with _offline:
        before = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = before or forbidden
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before


def _root() -> Path:
    spec = importlib.util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise Unavailable(
            "open_clip is not installed; `pip install -r requirements.txt` brings it, or take the "
            "encoder `embedded`."
        )
    return Path(spec.origin).parent


def _tables(root: Path) -> ModuleType:
    """open_clip's own table of weights, without the seconds that importing open_clip takes.

    Its modules are imported under a package of another name whose `__init__` is empty.
    """
    if _TABLES not in sys.modules:
        package = ModuleType(_TABLES)
        package.__path__ = [str(root)]
        sys.modules[_TABLES] = package
    return importlib.import_module(f"{_TABLES}.pretrained")
