"""Teach a small student on chains shortened by seven methods, and see which of them it learns best from.

The embedded model is teacher and pruner. Students have its size and are pre-trained on fewer problems, each in some
minutes of one CPU core:

    python examples/train_tiny.py --rows 40000 --out runs/student --demo runs/student/demo.jsonl

makes one that knows the task. With ``--steps 2`` (and ``--out runs/newcomer``) it makes one that has seen only problems
of two steps, while the task has two to four. Then ``python examples/04_distill.py runs/student runs/newcomer --out
runs/distill --workers 2``.

It writes the plan to ``runs/distill.yaml``, says what it takes, and follows it; ``tokimp distill runs/distill.yaml
--out runs/distill --executor processes --workers 2`` does the same, and goes on where a run was stopped.
"""

import argparse
from pathlib import Path

import yaml

from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.distill import distill
from tokimp.distillation.steps.forecast import forecast

METHODS = {
    "greedy": "greedy:strategy=fast",
    "greedy-answer": {"estimator": "greedy:strategy=fast", "objective": "answer"},
    "surprisal": "surprisal",
    "h2o": "h2o",
    "attention": "attention",
    "gradient": "gradient",
    "uniform": "uniform",
}


def main() -> None:
    """Write the plan, and follow it."""
    parser = argparse.ArgumentParser(description="Distillation with the embedded model, as one plan.")
    parser.add_argument("students", nargs="+", type=Path, help="folders of pre-trained students")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--workers", type=int, default=1, help="processes that work at once")
    parser.add_argument("--chains", type=int, default=340, help="questions the teacher is asked")
    parser.add_argument("--problems", type=int, default=500, help="test questions")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each cell")
    arguments = parser.parse_args()
    plan = {
        "task": "word_problems",
        "questions": {"limit": arguments.chains, "seed": 1},
        "test": {"limit": arguments.problems, "seed": 2},
        "teachers": ["tiny"],
        "students": [{"name": folder.name, "model": str(folder)} for folder in arguments.students],
        "methods": METHODS,
        "keep_ratios": [0.9, 0.8, 0.7, 0.5, 0.3],
        "seeds": list(range(arguments.seeds)),
        "sample": {"n": 2, "per_round": 1, "min_characters": 20, "max_new_tokens": 120},
        "train": {"epochs": 3, "learning_rate": 1e-3, "batch_size": 16, "checkpoint_steps": 0},
        "evaluate": {"max_new_tokens": 120},
    }
    path = arguments.out.with_suffix(".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    for amount in forecast(Plan.load(path), arguments.out, reasoning_tokens=60):
        print(f"{amount.what:20} {amount.whose:32} {amount.number:>14,.0f}   {amount.how}")
    executor = f"processes:workers={arguments.workers}" if arguments.workers > 1 else "local"
    results = distill(path, arguments.out, executor=executor, say=print)
    accuracy = results.curves.pivot_table(index=["student", "method"], columns="keep_ratio", values="accuracy")
    print(accuracy.round(3).to_string())


if __name__ == "__main__":
    main()
