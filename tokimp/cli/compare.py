"""``tokimp compare``: chains x estimators to a result, its agreement and its cost."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.options import SPECIFICATION, run_options
from tokimp.cli.plugin_name import ESTIMATOR

if TYPE_CHECKING:
    import xarray as xr

DEFAULT_ESTIMATORS = ("greedy", "leave_one_out", "attention", "gradient")


@click.command(epilog="Without arguments: four methods on the embedded chains with the embedded model.")
@run_options
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    default=DEFAULT_ESTIMATORS,
    show_default=True,
    type=ESTIMATOR,
    metavar=SPECIFICATION,
    help="A method that gives tokens an importance; give the option once for each.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run.  [default: a name under runs/]")
def compare(estimators: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """Rank the reasoning tokens of CHAINS by several methods, and say how far the methods agree.

    CHAINS is a JSONL file (tokimp's own, GSM8K's or MMLU-Pro's records), a hub dataset, or 'demo'. The result is
    results.nc in the folder of the run. What is finished is kept: the same command continues
    a run that was stopped.
    """
    from tokimp.analysis.comparison_report import print_report
    from tokimp.analysis.run import analyze
    from tokimp.cli.run import run
    from tokimp.results.io import save

    folder = out or _default_folder({**options, "estimators": estimators})
    result = analyze(run("comparing", estimators, folder, **options), "agreement", seed=options["seed"])
    _keep_analyses(result, folder / "results.nc")
    save(result, folder / "results.nc")
    print_report(result)
    click.echo(f"\nresult: {folder / 'results.nc'}")


def _default_folder(options: dict[str, Any]) -> Path:
    """Return the folder of a run that names none: another one for each combination of options."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]
    words = [re.sub(r"[^A-Za-z0-9.-]+", "-", Path(options[name]).name)[:40] for name in ("model", "chains")]
    return Path("runs") / "-".join([*words, digest])


def _keep_analyses(result: xr.DataTree, path: Path) -> None:
    """Copy the other analyses of the very same numbers from the file that is to be replaced."""
    from tokimp.errors import SchemaError
    from tokimp.results.io import load

    try:
        replaced = load(path)
    except SchemaError:
        # No file yet, or none that can be read: there is nothing to keep.
        return
    if not replaced.to_dataset().identical(result.to_dataset()) or "analysis" not in replaced.children:
        return
    for name, node in replaced["analysis"].children.items():
        if name not in result["analysis"].children:
            result[f"analysis/{name}"] = node.copy()
