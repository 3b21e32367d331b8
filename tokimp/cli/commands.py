"""The command group: each command's name, where it is defined, and what it is for."""

from __future__ import annotations

from typing import Any

import click

from tokimp.cli.advice import fitting_advice
from tokimp.cli.interrupts import Interrupted
from tokimp.cli.lazy_command import LazyCommand
from tokimp.errors import TokimpError

COMMANDS = [
    LazyCommand("analyze", "tokimp.cli.analyze:analyze", "Analyse a finished comparison; write numbers and a figure."),
    LazyCommand("audit", "tokimp.cli.audit:audit", "Say whether estimators can be trusted, on one page."),
    LazyCommand("bench", "tokimp.cli.bench:bench", "Measure what greedy pruning costs on a model and a device."),
    LazyCommand("compare", "tokimp.cli.compare:compare", "Rank reasoning tokens by several methods; do they agree?"),
    LazyCommand("distill", "tokimp.cli.distill:distill", "Compare pruning methods by what students learn."),
    LazyCommand("doctor", "tokimp.cli.doctor:doctor", "Show versions and devices, and say what is missing."),
    LazyCommand(
        "evaluate", "tokimp.cli.evaluate:evaluate", "Count the questions of a task that a model answers right."
    ),
    LazyCommand(
        "import", "tokimp.cli.import_chains:import_chains", "Make chains of records of any layout, and show the first."
    ),
    LazyCommand(
        "leaderboard",
        "tokimp.cli.leaderboard:leaderboard",
        "Audit many estimators by a stored configuration, on one page.",
    ),
    LazyCommand("merge", "tokimp.cli.merge:merge", "Put the results of several runs together."),
    LazyCommand("plugins", "tokimp.cli.plugins:plugins", "List all plugins, and why any of them failed to load."),
    LazyCommand("prune", "tokimp.cli.prune:prune", "Shorten the reasoning of chains to one or more keep ratios."),
    LazyCommand("sample", "tokimp.cli.sample:sample", "Let a teacher write chains; keep the right ones."),
    LazyCommand("show", "tokimp.cli.show:show", "Print chains as they will be tokenised, with units and categories."),
    LazyCommand("train", "tokimp.cli.train:train", "Fine-tune a student on chains."),
    LazyCommand("view", "tokimp.cli.view:view", "Make a page in which a comparison's chains can be read."),
]


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; Ctrl-C during it is raised as `Interrupted`, and no error advises an option that it lacks."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise Interrupted from interrupt
        except TokimpError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            if isinstance(command, LazyCommand):
                error.args = (fitting_advice(str(error), command.command), *error.args[1:])
            raise


@click.group(
    cls=_Group,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="tokimp COMMAND --help explains a command.",
)
@click.version_option(package_name="tokimp", prog_name="tokimp")
def cli() -> None:
    """Find out which tokens of a model's reasoning its answer rests on, and whether the methods agree."""
