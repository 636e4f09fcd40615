"""What a Prometheus server may know of the app: requests, answers, votes, jobs, versions, room."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memeapp import __version__
from memeapp.errors import MemeAppError
from memeapp.tokens import METRICS
from memeapp.types import JobKind, JobState, Prediction
from memeapp.ui.api_routes import token_of

if TYPE_CHECKING:
    from memeapp.wiring import App

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OTHER = "other"
"""A method or route that is none of the app's: what is asked for never becomes a label."""
QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; the upper ends of what is counted together."""

log = logging.getLogger(__name__)


class Metrics:
    """The figures of one app, in a registry of its own; safe to share between threads."""

    def __init__(self, app: App) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "memeapp_http_requests",
            "Answers.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._waits = Histogram(
            "memeapp_http_request_seconds",
            "From a request to the beginning of its answer.",
            ("method", "route"),
            buckets=QUICK,
            registry=self.registry,
        )
        self._classified = Histogram(
            "memeapp_classification_seconds",
            "One classification; text is ocr where it was read, given where it was typed.",
            ("text",),
            buckets=SLOW,
            registry=self.registry,
        )
        build = Info("memeapp_build", "The program.", registry=self.registry)
        build.info({"version": __version__})
        self.registry.register(Figures(app))
        ProcessCollector(registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request in.

        Args:
            route: its template, which holds no name or number of what was asked for.
        """
        method = method if method in METHODS else OTHER
        self._requests.labels(method, route, str(status)).inc()
        self._waits.labels(method, route).observe(seconds)

    def classified(self, prediction: Prediction) -> None:
        """Count a classification in."""
        self._classified.labels(prediction.text_source.value).observe(prediction.seconds)


class Figures(Collector):
    """What the app knows anyway, looked up when somebody asks: nothing here counts all votes anew
    each time, see `Training.counts`. What cannot be told is left out, and the rest is told."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._began = time.monotonic()

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not ask the database."""
        return ()

    def collect(self) -> Iterable[Metric]:
        yield _gauge("memeapp_uptime_seconds", "Since the start.", time.monotonic() - self._began)
        for found in (self._version, self._memes, self._jobs, self._room):
            try:
                yield from found()
            except Exception:
                log.exception("Some metrics cannot be told")

    def _version(self) -> Iterable[Metric]:
        version = self._app.training.current()
        labels = {"name": version.name, "encoder": version.encoder, "recipe": version.recipe}
        yield InfoMetricFamily("memeapp_model", "The version that answers.", value=labels)

    def _memes(self) -> Iterable[Metric]:
        counts = self._app.training.counts()
        yield CounterMetricFamily(
            "memeapp_votes_recorded",
            "Everything people said here or in imports, what was changed later too.",
            value=self._app.store.last_vote(),
        )
        yield _gauge("memeapp_votes_standing", "Votes that nothing has replaced.", counts.votes)
        yield _gauge("memeapp_memes", "All memes.", counts.memes)
        yield _gauge("memeapp_memes_labelled", "Memes with a vote.", counts.labelled)
        yield _gauge("memeapp_memes_held_out", "Memes never trained on.", counts.held_out)
        yield _gauge("memeapp_annotators", "People who joined.", counts.annotators)

    def _jobs(self) -> Iterable[Metric]:
        found = self._app.store.count_jobs()
        jobs = GaugeMetricFamily("memeapp_jobs", "Jobs there ever were.", labels=("kind", "state"))
        running = GaugeMetricFamily("memeapp_job_running", "Whether one is.", labels=("kind",))
        for kind in JobKind:
            for state in JobState:
                jobs.add_metric((kind.value, state.value), found.get((kind, state), 0))
            running.add_metric((kind.value,), found.get((kind, JobState.RUNNING), 0))
        yield jobs
        yield running

    def _room(self) -> Iterable[Metric]:
        store = self._app.store
        yield _gauge("memeapp_database_bytes", "The database on the disk.", store.size())
        free = shutil.disk_usage(store.folder).free
        yield _gauge("memeapp_disk_free_bytes", "Free where the data lies.", free)


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help, value=value)


class Measured:
    """Middleware that counts each request, those that go no further too."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, answered = time.perf_counter(), False

        def count(status: int) -> None:
            nonlocal answered
            answered = True
            # Found on the way in: the route that took the request writes itself down.
            route = getattr(scope.get("route"), "path", "") or OTHER
            seconds = time.perf_counter() - began
            self.metrics.answered(scope["method"], route, status, seconds)

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, counting)
        except Exception:
            if not answered:
                count(500)
            raise


def metrics_routes(app: App, metrics: Metrics) -> APIRouter:
    """`/health` for everybody, `/metrics` for admins and for programs with a token for it."""
    routes = APIRouter()

    @routes.get("/health")
    def health() -> Response:
        """503 with a sentence where the database cannot be read and written."""
        try:
            app.store.check()
        except MemeAppError as error:
            log.error("Not healthy: %s", error)
            sentence = "The database cannot be read and written; the log of the server says why."
            return JSONResponse({"status": "unwell", "detail": sentence}, 503)
        return JSONResponse({"status": "ok", "version": __version__})

    @routes.get("/metrics")
    def tell(request: Request) -> Response:
        """401 without a token or an admin's cookie, 403 with a token for something else.

        Whether the request comes from this machine says nothing: behind a proxy all may seem to.
        """
        if not app.auth.identity(request.cookies).admin:
            token_of(app, request, METRICS)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"Content-Type": content_type})

    return routes
