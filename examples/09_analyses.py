"""All analyses on word problems that the embedded model solved itself, and why filler is told from the rest or is not.

``python examples/09_analyses.py FOLDER N`` has the embedded model write N chains whose answer is right (problems it was
not trained on), ranks them by every method by token and by sentence, for the objectives joint and answer, runs
every analysis and prints its tables. With all weights random they are ranked once more, for the objective joint: the
control of the agreement. Killed and started again with the same FOLDER and N, it goes on where it stopped.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import tokimp as ti
from tokimp.chains.datasets.word_problem_words import annotate
from tokimp.chains.datasets.word_problems import generate
from tokimp.chains.sentences import sentence_starts
from tokimp.report.tables import cost_table
from tokimp.report.terminal import console_for, print_whole
from tokimp.results.analysis_nodes import node_name, node_names
from tokimp.results.by_chain import iterate

METHODS = ["greedy", "leave_one_out", "attention_knockout", "gradient", "attention", "h2o", "surprisal", "uniform"]
CHEAP = ["greedy", "leave_one_out", "uniform"]
# Name of the run: unit, objective, whether the conclusion, which states the answer, is cut off the reasoning.
RUNS: dict[str, tuple[Any, str, bool]] = {
    "token-joint": ("token", "joint", False),
    "token-answer": ("token", "answer", False),
    "sentence-joint": ("sentence", "joint", False),
    "sentence-answer": ("sentence", "answer", False),
    "token-answer-cut": ("token", "answer", True),
    "sentence-answer-cut": ("sentence", "answer", True),
}
CATEGORIES = ("symbolic_math", "verbal_math", "entity_name", "coreference", "grammar", "connective")
GROUPS = ("filler", "conclusion", "step", *CATEGORIES)
LOST = 0.1  # nats of the answer's log-likelihood


def write_chains(path: Path, count: int, scorer: ti.Scorer) -> None:
    """Write chains of the model's own whose answer is right and all of whose words have a known category."""
    lines: list[str] = []
    for number, problem in enumerate(generate(4 * count + 20, seed=0, split="test")):
        asked = ti.Chain("x", problem.question, "x", "x")
        prompt = ti.tokenize_chain(asked, scorer.tokenizer).prompt_ids
        ((written,),) = scorer.generate([prompt], max_new_tokens=120)
        reasoning, _, answer = written.partition("#### ")
        try:
            categories, filler = annotate(reasoning.strip())
        except ValueError:  # a word of the model's own
            continue
        if answer.strip() != problem.gold or len(sentence_starts(reasoning)) < 3:
            continue
        record = {"id": f"problem-{number:04d}", "question": problem.question, "reasoning": reasoning.strip()}
        record |= {"answer": problem.answer, "gold": problem.gold}
        spans = [{"start": start, "end": end, "label": label} for start, end, label in categories]
        useless = [{"start": start, "end": end} for start, end in filler]
        lines.append(json.dumps({**record, "category": spans, "filler": useless}))
        if len(lines) == count:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            return
    raise SystemExit(f"the model solved only {len(lines)} of the problems tried; ask for fewer")


def without_conclusion(chain: ti.Chain) -> ti.Chain:
    """Return a chain without its last sentence, which states the answer."""
    end = len(chain.reasoning[: sentence_starts(chain.reasoning)[-1]].rstrip())
    return ti.Chain(
        chain.id,
        chain.question,
        chain.reasoning[:end],
        chain.answer,
        gold=chain.gold,
        category=tuple(span for span in chain.category if span.end <= end),
        filler=tuple(span for span in chain.filler or () if span[1] <= end),
    )


def analyses(name: str, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the analyses of a run, with their parameters; of a run with the conclusion cut off those that say why."""
    unit, objective, is_cut = RUNS[name]
    yield "planted", {}
    yield "structure", {"keep_ratios": [0.3, 0.5, 0.7]}
    if is_cut:
        return
    control = {"random": str(folder / f"{unit}-random/results.nc")} if objective == "joint" else {}
    yield "agreement", {"minimum_units": 3} | control
    yield "faithfulness", {}
    if objective == "joint":
        yield "answer_recovery", {}
        yield "dynamics", {"next_units": [1, 3, 5, 10] if unit == "token" else [1]}
    for by in ("category", "position"):
        if unit == "token":
            yield "agreement_within", {"by": by}
    if objective == "answer":
        yield "agreement_between", {"other": str(folder / f"{unit}-joint/results.nc"), "minimum_units": 3}
    if name == "token-joint":
        yield "surrogate", {"save": str(folder / f"{name}-surrogate.safetensors")}


def run(name: str, folder: Path, chains: Sequence[ti.Chain], scorer: ti.Scorer) -> xr.DataTree:
    """Rank the chains as one of the runs says."""
    unit, objective, is_cut = RUNS[name]
    to_rank = [without_conclusion(chain) for chain in chains[: max(1, len(chains) // 3)]] if is_cut else chains
    methods = [*(CHEAP if is_cut else METHODS), "position"]
    return ranked(folder / name, to_rank, scorer, methods, unit=unit, objective=objective)


def ranked(
    folder: Path, chains: Sequence[ti.Chain], scorer: ti.Scorer, methods: Sequence[str], *, unit: Any, objective: str
) -> xr.DataTree:
    """Rank the chains, or read the result that is in the folder."""
    file = folder / "results.nc"
    if file.exists():
        return ti.load(file)
    result = ti.compare(chains, scorer, methods, objective=objective, unit=unit, out=folder)
    ti.save(result, file)
    return result


def show(tables: Sequence[Any]) -> None:
    """Print tables whole."""
    for table in tables:
        print_whole(console_for(tables), table)
    print(flush=True)


def groups_of(chain: xr.Dataset, unit_kind: str) -> list[str]:
    """Return the group of each unit: filler, conclusion, or a token's category; any other sentence is a step."""
    last = sentence_starts(str(chain["reasoning"].item()))[-1]
    groups = []
    for unit in range(int(chain["unit"].max()) + 1):
        tokens = np.flatnonzero(chain["unit"].to_numpy() == unit)
        categories = [label for label in chain["category"].to_numpy()[tokens] if label]
        if chain["filler"].to_numpy()[tokens].mean() > 0.5:
            groups.append("filler")
        elif chain["token_end"].to_numpy()[tokens[0]] > last:
            groups.append("conclusion")
        elif unit_kind == "sentence":
            groups.append("step")
        else:
            # A space before a digit is a token, and has no category of its own.
            category = categories[0] if categories else "grammar"
            groups.append("connective" if category == "meta_discourse" else category)
    return groups


def explain(joint: xr.DataTree, answer: xr.DataTree) -> None:
    """Print, by group of units, what a single deletion does to the likelihood, part by part, and the greedy ranks.

    A deletion takes the unit's own log-probability out of the joint likelihood (the more unexpected it was, the more is
    won), and changes that of the reasoning after it and of the answer.
    """
    rows: dict[str, list[list[float]]] = {group: [] for group in GROUPS}
    held: list[float] = []
    for (_, one), (_, other) in zip(iterate(joint), iterate(answer), strict=True):
        units = one["unit"].to_numpy()
        _, firsts = np.unique(units, return_index=True)
        own = -np.bincount(units, one["logprob"].to_numpy())
        lost, lost_answer = (
            run["importance"].sel(estimator="leave_one_out").to_numpy()[firsts] for run in (one, other)
        )
        ranks = [
            run["rank"].sel(estimator="greedy").to_numpy()[firsts] / max(1, len(firsts) - 1) for run in (one, other)
        ]
        groups = groups_of(one, str(joint.attrs["unit"]))
        columns = (own, lost + own - lost_answer, lost_answer, np.abs(lost_answer) < 0.01, *ranks)
        for group, *numbers in zip(groups, *columns, strict=True):
            rows[group].append(numbers)
        steps = np.argsort(other["rank"].sel(estimator="greedy").to_numpy()[firsts])
        path = other["loglik_answer"].sel(estimator="greedy").to_numpy()[firsts][steps]
        gone = path < float(other["full_loglik_answer"]) - LOST
        held.append(float(np.argmax(gone) if gone.any() else len(path)) / len(path))
    print(f"Single deletions by {joint.attrs['unit']}, mean nats: joint = what later reasoning and the answer lose")
    print("less the unit's own surprisal; and the mean normalised rank of greedy pruning (0 goes first)")
    heads = ("units", "surprisal", "later", "answer", "no effect", "rank joint", "rank answer")
    print(f"{'':<15}" + "".join(f"{head:>12}" for head in heads))
    for group, numbers in rows.items():
        if numbers:
            means = np.mean(numbers, axis=0)
            print(f"{group:<15}{len(numbers):>12}" + "".join(f"{value:>12.2f}" for value in means))
    print("no effect: share of units whose deletion moves log P(answer) by less than 0.01 nats")
    print(f"greedy on the answer deletes {np.mean(held):.0%} of the units before log P(answer) is {LOST} nats lower\n")


def first_to_go(result: xr.DataTree, share: float = 0.1) -> None:
    """Print what the first deleted units are, by estimator: shares of filler, and of the categories of the rest."""
    print(f"What the first {share:.0%} of the {result.attrs['unit']}s to go are, by estimator")
    for label in result.to_dataset()["estimator"].to_numpy():
        counts: Counter[str] = Counter()
        for _, chain in iterate(result):
            ranks = chain["rank"].sel(estimator=label).to_numpy()
            for place in np.flatnonzero(ranks < int(len(ranks) * share)):
                category = str(chain["category"].to_numpy()[place]) or "space"
                counts["filler" if chain["filler"].to_numpy()[place] else category] += 1
        shares = ", ".join(f"{name} {number / counts.total():.0%}" for name, number in counts.most_common(4))
        print(f"{label!s:<20} {shares}")
    print()


def main() -> None:
    """Run the comparisons and analyses that have no result yet, and print everything."""
    torch.set_num_threads(1)
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    scorer = ti.load_scorer("tiny")
    file = folder / "chains.jsonl"
    if not file.exists():
        write_chains(file, count, scorer)
    chains = ti.load_chains(str(file))
    if len(chains) != count:
        raise SystemExit(f"{file} holds {len(chains)} chains, not {count}; name another folder")
    random = ti.load_scorer("tiny", random_weights="all")
    for unit in ("token", "sentence"):
        began = time.process_time()
        ranked(folder / f"{unit}-random", chains, random, [*METHODS, "position"], unit=unit, objective="joint")
        print(f"== {unit}-random: ranked in {time.process_time() - began:.0f} CPU seconds")
    results = {}
    for name in RUNS:
        began = time.process_time()
        result = run(name, folder, chains, scorer)
        print(f"== {name}: {result.sizes['chain']} chains")
        print(f"ranked in {time.process_time() - began:.0f} CPU seconds")
        show([cost_table(result)])
        for analysis, parameters in analyses(name, folder):
            began, chosen = time.process_time(), ti.load_analysis(analysis, **parameters)
            if node_name(chosen) not in node_names(result, chosen.name):
                result = ti.analyze(result, chosen, scorer=scorer if chosen.requires else None)
                ti.save(result, folder / name / "results.nc")
            print(f"-- {name}, {chosen.label}: {time.process_time() - began:.0f} CPU seconds")
            show(chosen.tables(result))
            figure = chosen.figure(result)
            if figure is not None:
                figure.savefig(folder / name / f"{node_name(chosen)}.png", dpi=120)
        results[name] = result
    first_to_go(results["token-joint"])
    for unit in ("token", "sentence"):
        explain(results[f"{unit}-joint"], results[f"{unit}-answer"])


if __name__ == "__main__":
    main()
