"""``tokimp audit``: the report card of estimators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.cost import audit_cost_check, cost_options
from tokimp.cli.executor_options import executor_of, executor_options
from tokimp.cli.lines import echo
from tokimp.cli.options import (
    DEVICE,
    DTYPE,
    PLACEMENT,
    SEED,
    SPECIFICATION,
    TRUST_REMOTE_CODE,
    UNIT_OPTION,
    given,
    placement_options,
)
from tokimp.cli.plugin_name import BACKEND, ESTIMATOR, OBJECTIVE

if TYPE_CHECKING:
    from tokimp.audit.audit import Audit

CARD = "card"
"""The stem of the page's files in the audit's folder."""


@click.command(epilog="docs/audit.md says what each number means, and what may be concluded from it.")
@click.argument("estimators", nargs=-1, required=True, type=ESTIMATOR, metavar=f"{SPECIFICATION}...")
@click.option("--model", default="tiny", show_default=True, help="Hub id, local folder, GGUF file, or 'tiny'.")
@click.option(
    "--backend",
    type=BACKEND,
    metavar="NAME",
    default="transformer_lens",
    show_default=True,
    help="Scorer plugin (see tokimp plugins).",
)
@DEVICE
@DTYPE
@placement_options
@TRUST_REMOTE_CODE
@click.option(
    "--chains",
    default="word_problems",
    show_default=True,
    help="A file, a hub dataset, 'demo', or 'word_problems', which have planted text.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="How many chains.  [default: 100; quick: 8]")
@UNIT_OPTION
@click.option(
    "--objective",
    default="answer",
    show_default=True,
    type=OBJECTIVE,
    metavar="NAME",
    help="What deletions are to preserve: joint, answer, answer_value, reasoning, ...",
)
@click.option(
    "--changed-chains",
    type=click.IntRange(min=1),
    metavar="N",
    help="On how many chains estimators run again with something changed.  [default: 30; quick: 5]",
)
@click.option("--quick", is_flag=True, help="Few chains, four cuts and one further seed: a first look.")
@SEED
@executor_options
@cost_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/audit"),
    show_default=True,
    help="Folder of the audit, which gets the page.",
)
def audit(estimators: tuple[str, ...], out: Path, **options: Any) -> None:
    """Say whether estimators can be trusted: faithful, sane, stable, right about planted text, and at what cost.

    Each estimator ranks the chains, beside random orders and position; then again with random weights, another answer,
    another seed, another precision, a paraphrase and another spelling. The page (card.md, card.json, card.png) is
    written into the folder --out. The same command goes on where it was stopped, and with more estimators or chains
    computes only what is new.
    """
    from tokimp.audit.audit import audit as run_audit
    from tokimp.audit.settings import AuditSettings
    from tokimp.cli.model_preparation import prepare_model

    executor = executor_of(options)
    loading: dict[str, Any] = {"device": options["device"], **given(**{name: options[name] for name in PLACEMENT})}
    if options["trust_remote_code"]:
        # Scorers of other packages need not know the option.
        loading["trust_remote_code"] = True
    base = AuditSettings().quick() if options["quick"] else AuditSettings()
    settings = replace(
        base,
        model=options["model"],
        backend=options["backend"],
        dtype=options["dtype"],
        chains=options["chains"],
        limit=options["limit"] or base.limit,
        unit=str(options["unit"]),
        objective=options["objective"],
        seed=options["seed"],
        changed_chains=options["changed_chains"] or base.changed_chains,
    )
    prepare_model(options["model"], options["backend"])
    with executor as running:
        done = run_audit(
            estimators,
            settings=settings,
            out=out,
            executor=running,
            announce=lambda part: echo(part, err=True),
            before_work=audit_cost_check(estimate=options["estimate"], yes=options["yes"]),
            **loading,
        )
    write_page(done, out)
    _print(done, out)


def write_page(done: Audit, folder: Path) -> None:
    """Write the card of an audit as JSON, Markdown and a figure."""
    from tokimp.audit.figure import draw_card
    from tokimp.audit.page import card_markdown
    from tokimp.report.figure_files import save_figure
    from tokimp.storage.atomic import replacing, write_object

    write_object(folder / f"{CARD}.json", done.card)
    save_figure(draw_card(done.card), folder, CARD)
    with replacing(folder / f"{CARD}.md") as partial:
        partial.write_text(card_markdown(done.card, f"{CARD}.png"), encoding="utf-8")


def _print(done: Audit, folder: Path) -> None:
    from tokimp.audit.page import card_tables, solved_line, summary
    from tokimp.report.terminal import console_for, print_whole

    tables = card_tables(done.card)
    echo(summary(done.card))
    for table in tables:
        print_whole(console_for(tables), table)
    if solved := solved_line(done.card):
        echo(solved)
    for entry in done.card["estimators"]:
        echo(f"\n{entry['label']}")
        for sentence in entry["sentences"]:
            echo(f"  {sentence['text']}")
    for part, reason in done.card["not_computed"].items():
        echo(f"\nnot computed: {part}: {reason}")
    echo(f"\npage: {folder / CARD}.md, .json, .png, .svg; result: {folder / 'results.nc'}")
