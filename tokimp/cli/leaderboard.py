"""``tokimp leaderboard``: audits of many estimators by one configuration, on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.cost import cost_options, leaderboard_cost_check
from tokimp.cli.executor_options import executor_of, executor_options
from tokimp.cli.lines import echo
from tokimp.cli.options import SPECIFICATION
from tokimp.cli.plugin_name import ESTIMATOR

if TYPE_CHECKING:
    from tokimp.audit.settings import LeaderboardSettings


@click.command(epilog="docs/audit.md says what the numbers mean, and how a row is added.")
@click.argument("configuration", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    type=ESTIMATOR,
    metavar=SPECIFICATION,
    help="Audit this one in place of the configuration's; give the option once for each.",
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="UNIT",
    help="Only this one of the configuration's units; give the option once for each.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use only the first N chains.")
@click.option(
    "--changed-chains",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run estimators again with something changed on the first N chains only.",
)
@click.option("--page-only", is_flag=True, help="Audit nothing; write the page of the files that are there.")
@click.option(
    "--check",
    "checked",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Compute some chains of an entry again, and say what differs; the exit status is 1 if something does.",
)
@click.option(
    "--check-chains",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="How many chains --check computes again.",
)
@click.option(
    "--check-seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed by which these are drawn."
)
@executor_options
@cost_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/leaderboard"),
    show_default=True,
    help="Folder of the runs.",
)
def leaderboard(configuration: Path, out: Path, **options: Any) -> None:
    """Audit estimators as a CONFIGURATION says (YAML), and write one page of all that were audited so.

    Runs are kept in --out: the same command goes on where it was stopped. Each estimator has a JSON file beside the
    CONFIGURATION. The page has the name of their folder, and stands beside it.
    """
    from tokimp.audit.leaderboard import entry_path, make_entries, read_entries, read_entry, write_entries
    from tokimp.audit.leaderboard_page import leaderboard_page
    from tokimp.audit.settings import LeaderboardSettings
    from tokimp.storage.atomic import replacing

    executor = executor_of(options)
    stored = LeaderboardSettings.read(configuration)
    settings = _chosen(stored, options)
    folder = configuration.resolve().parent
    if options["estimate"] and (options["page_only"] or options["checked"] is not None):
        raise click.UsageError("--estimate is about audits; --page-only and --check make none")
    if options["checked"] is not None:
        _check(options["checked"], settings, options)
        return
    if not options["page_only"]:
        with executor as running:
            before_work = leaderboard_cost_check(out, running, estimate=options["estimate"], yes=options["yes"])
            if before_work is not None:
                before_work(settings)
            entries = make_entries(settings, out, executor=running, announce=lambda part: echo(part, err=True))
        for label, entry in entries.items():
            # An earlier run may have been of another unit.
            path = entry_path(folder, label)
            if path.exists() and set(stored.units) - set(settings.units):
                entry["units"] = {**read_entry(path)["units"], **entry["units"]}
        for path in write_entries(entries, folder):
            echo(f"entry: {path}")
    page = folder.with_suffix(".md")
    with replacing(page) as partial:
        partial.write_text(leaderboard_page(read_entries(folder), stored, configuration), encoding="utf-8")
    echo(f"page: {page}")


def _chosen(settings: LeaderboardSettings, options: dict[str, Any]) -> LeaderboardSettings:
    """Return the configuration with what the command line says in its place."""
    unknown = [unit for unit in options["units"] if unit not in settings.units]
    if unknown:
        raise click.UsageError(f"--unit {unknown[0]}: the configuration has {', '.join(settings.units)}")
    return replace(
        settings,
        estimators=options["estimators"] or settings.estimators,
        units=options["units"] or settings.units,
        audit=replace(
            settings.audit,
            limit=options["limit"] or settings.audit.limit,
            changed_chains=options["changed_chains"] or settings.audit.changed_chains,
        ),
    )


def _check(path: Path, settings: LeaderboardSettings, options: dict[str, Any]) -> None:
    from tokimp.audit.leaderboard import check_entry, read_entry

    estimators = options["estimators"]
    if len(estimators) > 1:
        raise click.UsageError("--check looks at one entry; give --estimator once at most")
    problems = check_entry(
        read_entry(path),
        settings,
        estimator=estimators[0] if estimators else None,
        n_chains=options["check_chains"],
        seed=options["check_seed"],
    )
    for problem in problems:
        echo(f"{path}: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(1)
    echo(f"{path}: the scores of {options['check_chains']} chains were computed again, and are as the entry says")
