"""``tokimp``: the command group, and the one place where errors become exit statuses."""

from __future__ import annotations

import sys
import traceback

import click

from tokimp import __version__
from tokimp.cli.analyze import analyze
from tokimp.cli.bench import bench
from tokimp.cli.compare import compare
from tokimp.cli.distill import distill
from tokimp.cli.doctor import doctor
from tokimp.cli.evaluate import evaluate
from tokimp.cli.plugins import plugins
from tokimp.cli.prune import prune
from tokimp.cli.sample import sample
from tokimp.cli.train import train
from tokimp.errors import TokimpError
from tokimp.models.quiet_libraries import quiet_libraries


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tokimp")
def cli() -> None:
    """Find out which tokens of a model's reasoning its answer rests on, and whether the methods agree."""


for command in (compare, analyze, sample, prune, train, evaluate, distill, bench, plugins, doctor):
    command.params.append(
        click.Option(["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error.")
    )
    cli.add_command(command)


def main() -> None:
    """Run the command line: exit status 0 done, 2 wrong usage, 1 anything else with one line on stderr."""
    debug = "--debug" in sys.argv[1:]
    if not debug:
        quiet_libraries()
    sys.exit(_run(debug=debug))


def _run(*, debug: bool) -> int:
    try:
        # Outside standalone mode click returns the status that a command asked to exit with.
        return cli.main(prog_name="tokimp", standalone_mode=False) or 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "tokimp"
        click.echo(f"{where}: {' '.join(error.format_message().split())} (see {where} --help)", err=True)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone (tokimp plugins | head); there is nobody left to tell.
        sys.stderr.close()
        return 1
    # The last line of defence: whatever went wrong becomes one line, and the traceback is one option away.
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - see above
        if debug:
            traceback.print_exc()
        click.echo(f"tokimp: {' '.join(_message(error).split())}", err=True)
        return 1


def _message(error: BaseException) -> str:
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted; what is finished is kept, and the same command goes on from there"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, TokimpError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (run again with --debug for the traceback)"
