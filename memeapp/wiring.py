"""`build(settings)`: the one place where concrete classes are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from memeapp.auth import Auth
from memeapp.jobs import Jobs
from memeapp.labels import MAMI, LabelSchema
from memeapp.learn.gate import Rule
from memeapp.ranker import Ranker
from memeapp.registry import Registry
from memeapp.scheduler import Scheduler
from memeapp.service.classify import Classifier
from memeapp.service.drift import Drift
from memeapp.service.dryrun import DryRuns
from memeapp.service.engines import Engines
from memeapp.service.evaluation import Evaluation
from memeapp.service.incoming import Incoming
from memeapp.service.inputs import InputLog
from memeapp.service.labelling import Labelling
from memeapp.service.picture import Picture
from memeapp.service.quality import Quality
from memeapp.service.ranks import Ranking
from memeapp.service.training import Training
from memeapp.service.transfer import Transfer
from memeapp.service.versions import Versions
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.tokens import TokenDesk
from memeapp.transfers import ExportJobs, ImportJobs


@dataclass(frozen=True, slots=True)
class App:
    """Everything the pages and the command line are handed."""

    settings: Settings
    schema: LabelSchema
    store: Store
    registry: Registry
    engines: Engines
    classifier: Classifier
    inputs: InputLog
    drift: Drift
    labelling: Labelling
    quality: Quality
    picture: Picture
    evaluation: Evaluation
    training: Training
    versions: Versions
    transfer: Transfer
    incoming: Incoming
    jobs: Jobs
    scheduler: Scheduler
    dry_runs: DryRuns
    imports: ImportJobs
    exports: ExportJobs
    ranking: Ranking
    ranker: Ranker
    auth: Auth
    tokens: TokenDesk


def build(settings: Settings) -> App:
    """Open the data folder and join the parts; heavy models are loaded on first use.

    Raises:
        BadSetting: if the label schema cannot be read.
    """
    schema = LabelSchema.from_file(settings.labels) if settings.labels else MAMI
    store = Store(settings.data)
    registry = Registry(settings.models, settings.data / "models")
    engines = Engines(settings.encoder, settings.ocr)
    evaluation = Evaluation(store, registry, engines, schema, max_upload_mb=settings.max_upload_mb)
    training = Training(
        store, registry, engines, schema, evaluation, rule=Rule(margin=settings.gate_margin)
    )
    transfer = Transfer(
        store,
        schema,
        holdout_share=settings.holdout_share,
        max_upload_mb=settings.max_upload_mb,
        max_text=settings.max_text,
        max_import_mb=settings.max_import_mb,
    )
    drift = Drift(store, registry, schema)
    inputs = InputLog(store, keep_days=settings.input_days, watch=drift.watch)
    incoming = Incoming(settings.data, settings.max_import_mb)
    jobs = Jobs(store, training, settings)
    return App(
        settings=settings,
        schema=schema,
        store=store,
        registry=registry,
        engines=engines,
        classifier=Classifier(
            store,
            registry,
            engines,
            schema,
            max_text=settings.max_text,
            holdout_share=settings.holdout_share,
            inputs=inputs,
        ),
        inputs=inputs,
        drift=drift,
        labelling=Labelling(store, schema, max_text=settings.max_text),
        quality=Quality(store, schema),
        picture=Picture(store, schema),
        evaluation=evaluation,
        training=training,
        versions=Versions(store, registry, schema),
        transfer=transfer,
        incoming=incoming,
        jobs=jobs,
        scheduler=Scheduler(store, jobs),
        dry_runs=DryRuns(store, training, schema),
        imports=ImportJobs(store, transfer, incoming, settings),
        exports=ExportJobs(store, transfer, settings),
        ranking=Ranking(store, registry, engines, schema),
        ranker=Ranker(settings),
        auth=Auth(settings.data, settings.admin_password),
        tokens=TokenDesk(store),
    )
