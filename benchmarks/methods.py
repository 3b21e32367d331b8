"""Every built-in estimator on the same chains, by token and by sentence, and all analyses of docs/results/methods.md.

    python benchmarks/methods.py --model tiny --limit 200 --temperature 1.5 --out runs/methods
    python benchmarks/methods.py --model SMOLLM2 --limit 40 --fit 20 --device cuda --out runs/methods-smollm2

Killed and started again with the same arguments, it goes on where it stopped. Cheap estimators come first, and each
stage is a whole result: after ``--seconds`` no further stage begins, and what is there is analysed. ``--report`` prints
the tables and computes nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from methods_report import print_report

import tokimp as ti
from tokimp.chains.datasets.word_problems import generate
from tokimp.results.analysis_nodes import node_name, node_names

OBJECTIVES = ("joint", "answer")
WORD_PROBLEMS = "word_problems"

# By cost. `at2` and `surrogate` once more with weights that were fitted on other chains: FITTED.
ONE_PASS = [
    "uniform",
    "position",
    "surprisal",
    "entropy",
    "entropy:aggregate=mean",
    "first_token",
    "cts",
    "attention",
    "attention:weights=value_norm",
    "attention:weights=rollout",
    "h2o",
    "receiver_heads",
    "tova",
    "snapkv",
    "keydiff",
    "expected_attention",
    "at2",
    "information_flow",
    "gradient",
    "gradient:method=l2_norm",
]
ONE_PASS_A_UNIT = [
    "leave_one_out",
    "leave_one_out:operator=mask",
    "attention_knockout",
    "value_zeroing",
    "suppression",
]
FITTED = ("at2", "surrogate")
# These are asked about the first --few chains alone, greedy by token only.
DEAR = {"sentence": ["context_cite", "shapley"], "token": ["greedy", "context_cite", "shapley"]}
GREEDY = ("greedy",)


@dataclass(frozen=True)
class Run:
    """One comparison: its name, unit, objective, how many of the chains, and its estimators in stages."""

    name: str
    unit: str
    objective: str
    limit: int
    stages: tuple[tuple[str, ...], ...]


def word_problems(count: int) -> list[ti.Chain]:
    """Return chains of the generator, problems that the embedded model was not trained on, with known filler."""
    return [
        ti.Chain(
            f"problem-{number:04d}",
            problem.question,
            problem.reasoning,
            problem.answer,
            gold=problem.gold,
            filler=problem.filler,
        )
        for number, problem in enumerate(generate(count, seed=0, split="test"))
    ]


def written_methods(arguments: argparse.Namespace) -> list[str]:
    """Return the estimators that read what the model goes on to write; the three share their texts."""
    common = f"temperature={arguments.temperature},rollouts={arguments.rollouts},folder={arguments.out / 'texts'}"
    resample = [f"resample:{kind}{common}" for kind in ("", "measure=js,", "kind=counterfactual,")]
    success = "success=answer,"
    return [*resample, f"resample:measure=accuracy,{success}{common}", f"pivotal:p_gap=0,{success}{common}"]


def plan(arguments: argparse.Namespace) -> list[Run]:
    """Return the runs: all chains by what is cheap, and a few by everything; sentences before tokens."""
    written = tuple(written_methods(arguments)) if arguments.rollouts else ()
    few = min(arguments.few, arguments.limit)
    runs = []
    for unit in sorted(arguments.unit):
        for objective in OBJECTIVES:
            fitted = tuple(f"{name}:path={fitted_file(arguments, name, unit, objective)}" for name in FITTED)
            cheap = [tuple(ONE_PASS), (*fitted, *ONE_PASS_A_UNIT), *([GREEDY] if unit == "sentence" else [])]
            dear = [tuple(DEAR[unit]), written]
            name = f"{unit}-{objective}"
            if few < arguments.limit:
                runs.append(Run(name, unit, objective, arguments.limit, _wanted(arguments, cheap)))
                name += "-few"
            runs.append(Run(name, unit, objective, few, _wanted(arguments, [*cheap, *dear])))
    return runs


def _wanted(arguments: argparse.Namespace, stages: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(name for name in stage if name.split(":")[0] not in arguments.without) for stage in stages)


def fitted_file(arguments: argparse.Namespace, name: str, unit: str, objective: str) -> Path:
    """Return where what an estimator is fitted to is kept; `at2` is fitted to the answer's log-odds in every run."""
    return Path(arguments.out / f"fit-{unit}-{'answer' if name == 'at2' else objective}" / f"{name}.safetensors")


def fit(arguments: argparse.Namespace, chains: Sequence[ti.Chain], scorer: ti.Scorer, run: Run) -> None:
    """Fit the weights of `at2` and the regression of `surrogate` on chains that are not ranked."""
    for name in FITTED:
        file = fitted_file(arguments, name, run.unit, run.objective)
        if file.exists():
            continue
        objective = file.parent.name.rpartition("-")[2]
        result = ti.compare(chains, scorer, ["leave_one_out"], objective=objective, unit=run.unit, out=file.parent)
        parameters = {"minimum_units": 3} if name == "surrogate" else {}
        analysis = ti.load_analysis(name, save=str(file), **parameters)
        ti.analyze(result, analysis, scorer=scorer if analysis.requires else None)
        print(f"fitted {name} for {file.parent.name}", flush=True)


def analyse(run: Run, folder: Path, chains: Sequence[ti.Chain], scorer: ti.Scorer) -> None:
    """Add the analyses of the page to a run's result, unless they are there."""
    result = ti.load(folder / "results.nc")
    wanted: list[tuple[str, dict[str, Any]]] = [("faithfulness", {}), ("faithfulness", {"operator": "mask"})]
    wanted.append(("agreement", {"minimum_units": 3}))
    if any(chain.filler for chain in chains):
        wanted.insert(0, ("planted", {}))
    for name, parameters in wanted:
        analysis = ti.load_analysis(name, **parameters)
        if node_name(analysis) in node_names(result, name):
            continue
        began = time.perf_counter()
        result = ti.analyze(result, analysis, scorer=scorer if analysis.requires else None, folder=folder)
        print(f"{run.name}: {analysis.label} in {time.perf_counter() - began:.0f} s", flush=True)
        ti.save(result, folder / "results.nc")


def carry_out(arguments: argparse.Namespace) -> None:
    """Rank and analyse, stage by stage, as far as the time allows."""
    ends = time.monotonic() + arguments.seconds
    scorer = ti.load_scorer(arguments.model, backend=arguments.backend, device=arguments.device, dtype=arguments.dtype)
    count = arguments.limit + arguments.fit
    chains = (
        word_problems(count) if arguments.chains == WORD_PROBLEMS else ti.load_chains(arguments.chains, limit=count)
    )
    if len(chains) < count:
        raise SystemExit(f"{arguments.chains} holds {len(chains)} chains, fewer than --limit and --fit together")
    ranked, held = chains[: arguments.limit], chains[arguments.limit :]
    runs = plan(arguments)
    for stage in range(max(len(run.stages) for run in runs)):
        for run in runs:
            if stage >= len(run.stages):
                continue
            if time.monotonic() > ends:
                print(
                    f"{arguments.seconds} seconds are over before {run.name}, stage {stage}; the same command goes on"
                )
                break
            methods = [name for part in run.stages[: stage + 1] for name in part]
            if any(":path=" in name for name in methods):
                fit(arguments, held, scorer, run)
            rank(run, methods, arguments.out / run.name, ranked[: run.limit], scorer)
    for run in runs:
        if (arguments.out / run.name / "results.nc").exists():
            analyse(run, arguments.out / run.name, ranked[: run.limit], scorer)


def rank(run: Run, methods: list[str], folder: Path, chains: Sequence[ti.Chain], scorer: ti.Scorer) -> None:
    """Rank chains by some estimators, unless a result has all of them."""
    file = folder / "results.nc"
    if file.exists() and set(methods) <= set(ti.load(file).to_dataset()["estimator"].to_numpy()):
        return
    began = time.perf_counter()
    # What a method costs is what it costs alone: none finds what another one scored.
    alone = ti.SubsetMemory(0)
    result = ti.compare(
        chains, scorer, methods, objective=run.objective, unit=run.unit, out=folder, subset_memory=alone
    )
    ti.save(result, file)
    took = time.perf_counter() - began
    print(f"{run.name}: {len(methods)} estimators, {len(chains)} chains in {took:.0f} s", flush=True)


def main() -> None:
    """Read the arguments; compute what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--backend", default="transformer_lens")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--chains", default=WORD_PROBLEMS, help=f"{WORD_PROBLEMS}, or a file of chains")
    parser.add_argument("--limit", type=int, default=200, help="chains that are ranked")
    parser.add_argument("--fit", type=int, default=60, help="further chains, on which at2 and surrogate are fitted")
    parser.add_argument("--unit", action="append", choices=("token", "sentence"), help="both by default")
    parser.add_argument("--rollouts", type=int, default=20, help="continuations of each beginning; 0 leaves them out")
    parser.add_argument("--temperature", type=float, default=0.6, help="of the continuations")
    parser.add_argument("--few", type=int, default=40, help="chains that are ranked by the dear estimators too")
    parser.add_argument("--without", action="append", default=[], help="name of an estimator to leave out")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further stage after so long")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="print the tables of what is there")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.unit = arguments.unit or ["token", "sentence"]
    torch.set_num_threads(arguments.threads)
    if not arguments.report:
        arguments.out.mkdir(parents=True, exist_ok=True)
        carry_out(arguments)
    print_report(arguments.out, [run.name for run in plan(arguments)])


if __name__ == "__main__":
    main()
