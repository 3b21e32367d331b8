"""``tokimp view``: one page in which the chains of a finished run are read, estimator beside estimator."""

from __future__ import annotations

from pathlib import Path

import click

from tokimp.cli.lines import echo


@click.command(epilog="docs/explorer.md says what the page shows.")
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the page to this file (.html).  [default: explorer.html beside the result]",
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
def view(run: Path, out: Path | None, *, show: bool) -> None:
    """Make a page of a finished RUN: one HTML file that works offline and can be sent to anyone.

    RUN is the folder of a tokimp compare, or a result file. The page lists the chains. It shades the tokens of one
    chain by each estimator's ranking, shows what is left at a keep ratio, and where two estimators differ. What the
    run was analysed for (agreement, faithfulness, answer_recovery) stands beside it.
    """
    import shlex

    from tokimp.cli.finished_run import result_file
    from tokimp.cli.inputs import protect_inputs
    from tokimp.report.explorer.page import write_page
    from tokimp.report.explorer.view import open_in_browser
    from tokimp.results.io import load
    from tokimp.storage.write_errors import check_writable

    source = result_file(run)
    path = out or source.parent / "explorer.html"
    if path.suffix not in {".html", ".htm"}:
        raise click.UsageError(f"--out {path}: a page's name ends in .html")
    if not path.parent.is_dir():
        raise click.UsageError(f"--out {path}: there is no folder {path.parent}; make it first")
    check_writable(path.parent)
    protect_inputs([path], {"RUN": source})
    result = load(source)
    title = f"{run.stem if run == source else run.resolve().name}: {result.attrs['model_id']}"
    # The braces of a path are no place for the name of an analysis.
    named = shlex.quote(str(run)).replace("{", "{{").replace("}", "}}")
    write_page(result, path, title=title, command=f"tokimp analyze {named} {{}}")
    echo(f"page: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if show:
        open_in_browser(path)
