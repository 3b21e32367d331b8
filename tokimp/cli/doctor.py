"""``tokimp doctor``: versions, devices, and what is missing."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, requires, version

import click

from tokimp.cli.lines import echo


@click.command()
def doctor() -> None:
    """Print versions and devices, and say what is missing; exit status 1 if anything is."""
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
    console.print("\nnothing is missing" if not problems else f"\n{len(problems)} problem(s):")
    for problem in problems:
        echo(f"  {problem}")
    if problems:
        raise click.exceptions.Exit(1)


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
    rows.append(("cpu", f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} torch threads"))
    return rows
