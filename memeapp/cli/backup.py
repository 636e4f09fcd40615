"""Commands for the data folder as one file."""

from __future__ import annotations

from pathlib import Path

import click

from memeapp.cli.common import COMMAND_LINE, FILE, bar, build
from memeapp.settings import Settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--without-secrets",
    is_flag=True,
    help="Leave out the key of the cookies and the hash of the admin password. Invites and what "
    "people said are in it all the same.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.pass_obj
def backup(settings: Settings, file: Path, without_secrets: bool, force: bool) -> None:
    """Write the data folder to FILE, a zip, while the app is used or not.

    It holds the votes, the pictures, the versions trained here and what logins need: keep it as
    secret as the data folder itself. Uploads, exports and logs are not in it.
    """
    from memeapp.service.backup import back_up  # noqa: PLC0415 - torch: seconds

    app = build(settings)
    app.store.note(COMMAND_LINE, "backup.make", file.name, details={"secrets": not without_secrets})
    try:
        with bar("Copying") as report:
            made = back_up(
                app.store, app.registry, file, report, secrets=not without_secrets, force=force
            )
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error}.") from error
    click.echo(
        f"{made.memes:,} memes, votes up to number {made.votes:,} and {made.versions} versions "
        f"are in {file}, {made.bytes / 1e6:,.1f} MB."
    )
    if made.missing:
        click.echo(
            f"{len(made.missing):,} memes have no picture in the data folder, such as "
            f"{made.missing[0]}; bring them back from an older backup.",
            err=True,
        )


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="The data folder, new or not; MEMEAPP_DATA otherwise.",
)
@click.pass_obj
def restore(settings: Settings, file: Path, into: Path | None) -> None:
    """Check FILE, which `backup` wrote, and put it in the place of the data folder.

    Stop the app first. What was in the folder is moved into a folder `before-restore-…` there.
    """
    from memeapp.service.restore import restore as put_back  # noqa: PLC0415 - torch: seconds

    folder = into or settings.data
    with bar("Restoring") as report:
        done = put_back(file, folder, report, by=COMMAND_LINE)
    told = done.contents
    click.echo(
        f"{folder} is as it was at {told.made_at:%Y-%m-%d %H:%M} UTC: {told.memes:,} memes, votes "
        f"up to number {told.last_vote:,}, {done.versions} versions."
    )
    if done.kept:
        click.echo(f"What was there before is in {done.kept}; remove that once all is well.")
    for notice in done.notices:
        click.echo(notice, err=True)
