"""``tokimp``: runs the command line, and is the one place where errors become exit statuses."""

# What else this module needs is imported in its functions, so that Ctrl-C is in hand before anything slow happens.
import sys

from tokimp.cli import interrupts


def main() -> None:
    """Run the command line.

    The exit status is 0 when all is done, 2 for wrong usage, 130 after Ctrl-C, and 1 for anything else that went
    wrong. All but the first put one line on standard error; ``tokimp`` alone puts its help there.
    """
    debug = "--debug" in sys.argv[1:]
    interrupts.end_imports_at_once(debug=debug)
    try:
        status = _run(debug=debug)
    except KeyboardInterrupt:
        # Ctrl-C before the command began, or a second time.
        if debug:
            _print_traceback()
        status = interrupts.report()
    if not debug:
        interrupts.end_at_once()
    sys.exit(status)


def _run(*, debug: bool) -> int:
    import click

    from tokimp.cli.commands import cli
    from tokimp.cli.lines import echo
    from tokimp.cli.shown_warnings import warnings_shown
    from tokimp.models.quiet_libraries import quiet_libraries

    if not debug:
        quiet_libraries()
    try:
        with warnings_shown():
            # Outside standalone mode click returns the status that a command asked to exit with.
            return cli.main(prog_name="tokimp", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        # The message is the whole help, whose lines stay lines.
        for line in error.format_message().split("\n"):
            echo(line, err=True)
        return error.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "tokimp"
        echo(f"{where}: {' '.join(error.format_message().split())} (see {where} --help)", err=True)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone (tokimp plugins | head); there is nobody left to tell.
        sys.stderr.close()
        return 1
    except (interrupts.Interrupted, click.Abort):
        if debug:
            _print_traceback()
        return interrupts.report()
    # Whatever else went wrong becomes one line; --debug shows the traceback.
    except Exception as error:  # noqa: BLE001 - said above
        if debug:
            _print_traceback()
        echo(f"tokimp: {' '.join(_message(error).split())}", err=True)
        return 1


def _message(error: Exception) -> str:
    import click

    from tokimp.errors import TokimpError

    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, TokimpError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (run again with --debug for the traceback)"


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()
