"""``tokimp doctor``: versions, devices, and what is missing."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.lines import echo
from tokimp.cli.options import (
    DEVICE,
    DTYPE,
    MODEL_HELP,
    PLACEMENT,
    READING,
    TRUST_REMOTE_CODE,
    given,
    placement_options,
    reading_options,
    typed,
)
from tokimp.cli.plugin_name import BACKEND

if TYPE_CHECKING:
    from rich.table import Table

    from tokimp.models.causal_lm import CausalLMScorer


@click.command()
@click.option("--model", help=f"Load this model, and say how it is read and why. {MODEL_HELP}")
@click.option(
    "--backend",
    default="transformer_lens",
    show_default=True,
    type=BACKEND,
    metavar="NAME",
    help="Scorer plugin that loads the model.",
)
@DEVICE
@DTYPE
@placement_options
@TRUST_REMOTE_CODE
@reading_options
def doctor(model: str | None, **options: Any) -> None:
    """Print versions and devices, and say what is missing; exit status 1 if anything is.

    With --model it loads a model too, and prints its architecture, device, precision and memory, whether its shortened
    chains are read in packs or in batches and why, and what the backend cannot do with it.
    """
    from huggingface_hub import is_offline_mode
    from rich.table import Table

    from tokimp.contracts import registry
    from tokimp.report.terminal import TerminalConsole

    packages, devices = Table(box=None, pad_edge=False), Table(box=None, pad_edge=False)
    for heading in ("package", "version", "problem"):
        packages.add_column(heading, overflow="fold")
    for heading in ("device", "what it is"):
        devices.add_column(heading, overflow="fold")
    console, problems = TerminalConsole(), []
    packages.add_row("python", platform.python_version(), "")
    packages.add_row("tokimp", version("tokimp"), "")
    for name, installed, problem in _requirements():
        packages.add_row(name, installed, problem)
        problems += [f"{name}: {problem}"] if problem else []
    for name, description in _devices():
        devices.add_row(name, description)
    problems += [plugin.error for kind in registry.KINDS for plugin in registry.plugins(kind) if plugin.error]
    console.print(packages)
    console.print()
    console.print(devices)
    offline = "offline (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set)"
    console.print(f"\nmodel hub: {offline if is_offline_mode() else 'asked when a hub id is given'}")
    console.print(f"cache folder: {_cache_line()}")
    if model is None:
        if unused := typed({"backend", "device", "dtype", "trust_remote_code", *READING, *PLACEMENT}):
            raise click.UsageError(f"{', '.join(unused)} says how a model is loaded; name one with --model")
    else:
        console.print()
        console.print(_model_table(model, **options))
    console.print("\nnothing is missing" if not problems else f"\n{len(problems)} problem(s):")
    for problem in problems:
        echo(f"  {problem}")
    if problems:
        raise click.exceptions.Exit(1)


def _cache_line() -> str:
    """Return where tokimp keeps what it would otherwise fetch or convert again, and how much that is."""
    from tokimp.models.converted_gguf import FOLDER, kept_bytes
    from tokimp.storage.cache_folder import cache_folder

    folder = cache_folder()
    kept = kept_bytes() / 2**20
    return f"{folder}; converted GGUF files: {kept:,.0f} MiB in {folder / FOLDER}, to be deleted at any time"


def _model_table(model: str, **options: Any) -> Table:
    """Load a model; return a table of what it is and how it is read."""
    from rich.table import Table

    from tokimp.cli.model_preparation import prepare_model
    from tokimp.contracts.scorer import Capability
    from tokimp.models.causal_lm import CausalLMScorer
    from tokimp.models.loading import load_scorer

    prepare_model(model, options["backend"])
    # Scorers of other packages need not know all options.
    chosen = {name: value for name, value in options.items() if name != "trust_remote_code" or value}
    scorer = load_scorer(model, **given(**chosen))
    rows = [("backend", scorer.backend), ("device", scorer.device), ("dtype", scorer.dtype)]
    rows += [(name.replace("_", " "), str(value)) for name, value in scorer.loading.items()]
    rows += _how_it_is_read(scorer) if isinstance(scorer, CausalLMScorer) else []
    missing = sorted(capability.value for capability in Capability if capability not in scorer.capabilities)
    rows.append(("cannot give", ", ".join(missing) or "(it gives everything)"))
    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    table.add_column(scorer.model_id, overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def _how_it_is_read(scorer: CausalLMScorer) -> list[tuple[str, str]]:
    from tokimp.models.memory import total_memory

    facts, decoder = scorer.decoder.facts, scorer.decoder
    weights = sum(tensor.numel() * tensor.element_size() for tensor in scorer.model.parameters())
    return [
        ("architecture", f"{facts.architecture}, {facts.layers} layers, {facts.parameters:,} parameters"),
        ("context", "no limit" if facts.context_length is None else f"{facts.context_length:,} tokens"),
        ("deletions", scorer.batching),
        ("at once", f"{scorer.budget.positions:,} positions, {decoder.logits_budget:,} logits"),
        ("weights", f"{weights / 2**20:,.0f} MiB of {total_memory(scorer.device) / 2**20:,.0f} MiB"),
        ("stored rows", f"at most {decoder.cache_memory / 2**20:,.0f} MiB of keys and values"),
    ]


def _requirements() -> list[tuple[str, str, str]]:
    """Return every package that tokimp depends on: its name, its installed version, and what is wrong with it."""
    from packaging.requirements import Requirement

    rows = []
    for text in requires("tokimp") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            rows.append((requirement.name, "-", f"missing: pip install '{requirement}'"))
            continue
        fits = requirement.specifier.contains(installed, prereleases=True)
        rows.append((requirement.name, installed, "" if fits else f"tokimp wants {requirement.specifier}"))
    return rows


def _devices() -> list[tuple[str, str]]:
    """Return each device that torch can compute on, and what it is; ``auto`` takes the first."""
    import torch

    rows = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        rows.append((f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"))
    if torch.backends.mps.is_available():
        rows.append(("mps", "Apple GPU"))
    threads = torch.get_num_threads()
    processor = platform.processor() or platform.machine()
    rows.append(("cpu", f"{processor}, {threads} torch thread{'' if threads == 1 else 's'}"))
    return rows
