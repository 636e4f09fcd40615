"""The commands around trainings: one now, a dry run, trainings that start by themselves."""

from __future__ import annotations

from dataclasses import asdict

import click

from memeapp.cli.common import COMMAND_LINE, ENCODER, JOB, bar, build, give_way, show
from memeapp.settings import Settings

TRIGGERS = ("after_labels", "daily_at", "encoder", "aggregation", "votes")

AGGREGATION = click.option(
    "--aggregation",
    type=click.Choice(["majority", "dawid-skene", "mace"]),
    default="majority",
    show_default=True,
    help="How the votes on a meme become what is learned.",
)
VOTES = click.option(
    "--votes",
    type=click.Choice(["blind", "all"]),
    default="blind",
    show_default=True,
    help="What people said before they saw the model's answer, or what they say now.",
)


@click.command()
@ENCODER
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all randomness.")
@click.option("--recipe", default="best", show_default=True, help="best, reference or paper.")
@AGGREGATION
@VOTES
@click.option("--dry-run", is_flag=True, help="Only say what it would learn from, as JSON.")
@JOB
@click.pass_obj
def train(
    settings: Settings,
    encoder: str | None,
    seed: int,
    recipe: str,
    aggregation: str,
    votes: str,
    dry_run: bool,
    job: int | None,
) -> None:
    """Encode what is new, train a version on the votes; it answers if it is not worse.

    `best` is ours; `reference` and `paper` are SemiMemes as its code and its publication have it.
    """
    from memeapp.learn.recipe import RECIPES  # noqa: PLC0415 - torch: seconds

    if recipe not in RECIPES:
        raise click.BadParameter(f"{recipe!r} is none of {', '.join(RECIPES)}.")
    app = build(settings)
    if dry_run:
        show(asdict(app.dry_runs.look(encoder, aggregation=aggregation, votes=votes)))
        return
    if job is None:
        job = app.jobs.queue(
            encoder,
            aggregation=aggregation,
            votes=votes,
            seed=seed,
            recipe=recipe,
            by=COMMAND_LINE,
        ).id
        app.store.note(COMMAND_LINE, "train.start", f"job {job}")
    else:
        give_way()  # Started by the app.
    with bar("Training") as report:
        done = app.jobs.run(job, also=report)
    if done.version is None:
        raise click.ClickException(done.message)
    click.echo(done.message)
    app.ranking.rank_open(lambda stage, share: None)
    show(app.registry.find(done.version).metrics)


@click.command()
@click.option("--after", type=int, help="Start once so many memes were judged anew.")
@click.option("--at", help="Start every day at this time of this machine, HH:MM.")
@click.option("--off", is_flag=True, help="Start none by themselves.")
@ENCODER
@AGGREGATION
@VOTES
@click.pass_obj
def triggers(
    settings: Settings,
    after: int | None,
    at: str | None,
    off: bool,
    encoder: str | None,
    aggregation: str,
    votes: str,
) -> None:
    """Say when trainings start by themselves, or change it; the running app starts them.

    What is named replaces all that was set before.
    """
    if off and (after is not None or at is not None):
        raise click.UsageError("--off goes with neither --after nor --at.")
    app = build(settings)
    if off or after is not None or at is not None:
        chosen = app.scheduler.change(
            after_labels=after,
            daily_at=at,
            encoder=encoder or "",
            aggregation=aggregation,
            votes=votes,
        )
        how = {name: getattr(chosen, name) for name in TRIGGERS}
        app.store.note(COMMAND_LINE, "triggers.change", details=how)
    now = app.store.retraining()
    told = [f"after {now.after_labels:,} newly judged memes"] if now.after_labels else []
    told += [f"every day at {now.daily_at}"] if now.daily_at else []
    if not told:
        click.echo("No training starts by itself.")
        return
    click.echo(
        f"A training starts {' and '.join(told)}: {now.encoder or 'the usual encoder'}, "
        f"{now.aggregation}, {now.votes} votes."
    )
    if now.told:
        click.echo(f"{now.told_at}: {now.told}")
