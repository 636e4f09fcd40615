"""The process that puts memes into the queues of the open sessions; at low priority, one at a time.

Nothing waits for it: until it is done, memes come up by chance or as they were ranked before.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

from memeapp.settings import Settings

log = logging.getLogger(__name__)


class Ranker:
    """Starts `memeapp rank` for the running app."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._again = False

    @property
    def at_work(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Rank again, once more after the run that is at work, if one is; comes back at once."""
        with self._lock:
            if self.at_work:
                self._again = True
                return
            self._child = self._spawn()
        threading.Thread(target=self._watch, args=[self._child], daemon=True).start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        file = self._settings.data / "logs" / "rank.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "memeapp", "rank", "--background"],
                env={**os.environ, **self._settings.to_env()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        if code := child.wait():
            log.warning("Ranking ended with status %s; logs/rank.log says why.", code)
        with self._lock:
            again, self._again = self._again, False
        if again:
            self.start()
