"""Clients that label over HTTP as the page does, each with its own connection and cookie."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from memeapp.labels import MAMI
from memeapp.service.features import Report


@dataclass(slots=True)
class Seen:
    """What the clients saw."""

    acknowledged: list[int] = field(default_factory=list)
    """Numbers of the votes that the server said it has."""
    seconds: list[float] = field(default_factory=list)
    """From sending a judgement to having the next meme: one request."""
    began: list[float] = field(default_factory=list)
    """When each of these was sent, by `time.perf_counter`."""
    errors: list[str] = field(default_factory=list)
    surplus: int = 0
    repeated: int = 0
    """Requests sent once more because the connection broke."""


async def label_together(
    address: str,
    password: str,
    people: int,
    votes: int,
    minutes: float,
    pause: float,
    report: Report,
    seen: Seen | None = None,
) -> Seen:
    """Open a session of three votes a meme and let the people label in it, all at once.

    Args:
        address: of the app, ending in a slash.
        votes: the work ends with so many, or after so many `minutes`.
        pause: seconds that people think on average, exponentially distributed.
        seen: filled meanwhile, for whoever wants to look; a new one if None.
    """
    async with httpx.AsyncClient(base_url=address, timeout=60) as admin:
        (await admin.post("auth/admin", json={"password": password})).raise_for_status()
        name = f"Load {secrets.token_hex(4)}"  # a data folder may see more than one run
        opened = await admin.post("sessions", json={"name": name, "votes_per_meme": 3})
        opened.raise_for_status()
        invite = opened.json()["invites"][0]["token"]
    seen = seen or Seen()
    until = time.monotonic() + 60 * minutes
    async with asyncio.TaskGroup() as group:
        for number in range(people):
            person = _Person(address, invite, number, votes, until, pause, seen, report)
            group.create_task(person.work())
    return seen


class _Person:
    """One client with its own connection and cookie."""

    def __init__(
        self,
        address: str,
        invite: str,
        number: int,
        votes: int,
        until: float,
        pause: float,
        seen: Seen,
        report: Report,
    ) -> None:
        self.address, self.invite, self.number = address, invite, number
        self.votes, self.until, self.pause, self.seen = votes, until, pause, seen
        self.report = report
        self.chance = random.Random(number)
        self.tab = f"tab-{number:08d}"

    async def work(self) -> None:
        async with httpx.AsyncClient(base_url=self.address, timeout=60) as client:
            try:
                name = f"Person {self.number}"
                await self._post(client, "label/join", invite=self.invite, name=name)
                answer = await self._post(client, "label/open", tab=self.tab)
                while len(self.seen.acknowledged) < self.votes and time.monotonic() < self.until:
                    if not answer["cards"]:
                        await asyncio.sleep(1)
                        answer = await self._post(client, "label/next", tab=self.tab)
                        continue
                    await asyncio.sleep(self.chance.expovariate(1 / self.pause))
                    answer = await self._judge(client, answer["cards"][0])
            except httpx.HTTPError as error:
                self.seen.errors.append(f"{type(error).__name__}: {error}")

    async def _judge(self, client: httpx.AsyncClient, card: dict[str, Any]) -> dict[str, Any]:
        said = dict.fromkeys(MAMI.names, False)
        if self.chance.random() < 0.5:
            said[MAMI.names[0]] = said[self.chance.choice(MAMI.names[1:])] = True
        began = time.perf_counter()
        answer = await self._post(
            client, "label/vote", tab=self.tab, meme=card["meme"], key=card["key"], labels=said
        )
        self.seen.seconds.append(time.perf_counter() - began)
        self.seen.began.append(began)
        self.seen.acknowledged.append(answer["saved"]["id"])
        self.seen.surplus += answer["saved"]["kind"] == "surplus"
        done = len(self.seen.acknowledged)
        self.report(f"{done} of {self.votes} votes", min(1.0, done / self.votes))
        return answer

    async def _post(self, client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
        """Send as the page does: once more where the connection breaks, except for a join."""
        try:
            response = await client.post(path, json=body)
        except httpx.TransportError:
            if path == "label/join":
                raise
            self.seen.repeated += 1
            response = await client.post(path, json=body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer
