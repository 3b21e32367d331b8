"""Train the embedded model from nothing: tokenizer, weights, model card, demo chains.

The model has about a million parameters and really reasons: it solves two- to four-step word problems by writing its
steps out, and fails at them when made to answer at once. That is what makes it worth deleting tokens of its chains.

    python examples/train_tiny.py --out tokimp/chains/datasets/tiny --demo tokimp/chains/datasets/demo_chains.jsonl

One thread on purpose: at this size a second one gains little, and the order of additions stays the same.
"""

# Long because the embedded model is made by this one script, which nothing else imports.

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from tokimp.chains.datasets.word_problem_words import annotate
from tokimp.chains.datasets.word_problems import SHORTEST_CHAIN, Problem, draw_expression, generate

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
MARKER = "\n####"  # made to write this straight after the question, the model answers without a chain
STEPS = (2, 3, 4, 4)  # long chains are the hard ones, so they come twice as often
BATCH = 32
DIRECT_SHARE = 0.08
FILLER_RATE = 0.7
MUON_LR, ADAM_LR, WARMUP = 8e-3, 3e-3, 100
NEW_TOKENS = 130
TEST_SEED = 1
# Few and short enough to be compared by four methods within a minute.
DEMO_CHAINS, LONGEST_DEMO = 12, 60
ROWS = 150_000


@dataclass(frozen=True)
class Row:
    """One training sequence and, token by token, whether its loss counts."""

    ids: list[int]
    counted: list[bool]


# -- tokenizer ---------------------------------------------------------------------------------------------------------
def train_tokenizer(problems: Sequence[Problem]) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE tokenizer in which each digit is a token of its own and any text can be encoded."""
    tokenizer = Tokenizer(models.BPE())
    # Digits are split off first: a number is then spelt one digit a token, with the space before it apart.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(text, special=True, normalized=False) for text in (BOS, EOS, PAD)]
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = itertools.chain.from_iterable((p.question + "\n", p.reasoning, "\n" + p.answer) for p in problems)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    # transformers leaves this and a few other calls untyped.
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers leaves it without types
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,  # the default eats the space before a full stop when decoding
        model_max_length=1024,
        padding_side="left",
    )


# -- rows --------------------------------------------------------------------------------------------------------------
def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenise one span apart from its neighbours, as the toolkit does."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def encode_problem(tokenizer: PreTrainedTokenizerBase, problem: Problem, *, direct: bool) -> Row:
    """Lay out one problem: question, chain, answer; or, if direct, question and answer only."""
    prompt = [tokenizer.bos_token_id, *encode(tokenizer, problem.question + "\n")]
    answer = [*encode(tokenizer, "\n" + problem.answer), tokenizer.eos_token_id]
    if direct:
        # Were the marker's loss counted here, greedy decoding would learn to skip the chain now and then.
        masked = len(prompt) + len(encode(tokenizer, MARKER))
        chain = []
    else:
        masked = len(prompt)
        chain = encode(tokenizer, problem.reasoning)
    ids = prompt + chain + answer
    return Row(ids, [place >= masked for place in range(len(ids))])


def encode_sums(tokenizer: PreTrainedTokenizerBase, rng: random.Random) -> Row:
    """Lay out a few bare sums; only what follows each ``=`` counts, as the rest cannot be known."""
    ids, counted = [tokenizer.bos_token_id], [False]
    for _ in range(6):
        left, right = draw_expression(rng).split("=")
        for text, counts in ((f" {left}=", False), (f"{right}.", True)):
            piece = encode(tokenizer, text)
            ids += piece
            counted += [counts] * len(piece)
    return Row(ids, counted)


def batches(tokenizer: PreTrainedTokenizerBase, problems: list[Problem], rows: int, seed: int) -> Iterator[list[Row]]:
    """Give all rows in batches of like length: many bare sums at first, few later."""
    rng = random.Random(seed)  # noqa: S311  # problems, not secrets
    source = iter(problems)
    for begin in range(0, rows, BATCH * 50):
        sums_share = sums_share_at(begin / rows)
        pool = []
        for _ in range(min(BATCH * 50, rows - begin)):
            if rng.random() < sums_share:
                pool.append(encode_sums(tokenizer, rng))
            else:
                pool.append(encode_problem(tokenizer, next(source), direct=rng.random() < DIRECT_SHARE))
        pool.sort(key=lambda row: len(row.ids))
        cuts = [pool[start : start + BATCH] for start in range(0, len(pool), BATCH)]
        rng.shuffle(cuts)
        yield from cuts


def sums_share_at(progress: float) -> float:
    """Say which share of the rows are bare sums at this point of the training."""
    return 0.4 if progress < 0.4 else 0.1


# -- optimiser ---------------------------------------------------------------------------------------------------------
class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal; in float32, for processors on which bfloat16 is slow and too coarse.

    Parameters
    ----------
    matrices
        The two-dimensional weights inside the blocks.
    lr
        Step size.
    """

    def __init__(self, matrices: Sequence[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure is used
        """Move every matrix along its orthogonalised momentum."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for weight in group["params"]:
                shapes.setdefault(weight.shape, []).append(weight)
            for shape, weights in shapes.items():  # those of one shape in one go: a few large products, not many small
                updates = []
                for weight in weights:
                    state = self.state[weight]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(weight)
                    gradient = cast("Tensor", weight.grad)  # every matrix takes part in the loss
                    state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    updates.append(torch.lerp(gradient, state["momentum"], group["momentum"]))
                # So scaled, an entry moves as far as it would under AdamW, whatever the shape.
                scale = 0.2 * math.sqrt(max(shape))
                for weight, update in zip(weights, orthogonalise(torch.stack(updates)), strict=True):
                    weight.sub_(update, alpha=group["lr"] * scale)


def orthogonalise(stack: Tensor) -> Tensor:
    """Bring the singular values of each matrix close to one, by five Newton-Schulz iterations."""
    wide = stack if stack.shape[-2] <= stack.shape[-1] else stack.mT
    x = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    result: Tensor = x if stack.shape[-2] <= stack.shape[-1] else x.mT
    return result


# -- training ----------------------------------------------------------------------------------------------------------
def build_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> LlamaForCausalLM:
    """Build the untrained model."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.04,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def train(tokenizer: PreTrainedTokenizerBase, rows: int, seed: int, steps: Sequence[int]) -> LlamaForCausalLM:
    """Train the model on `rows` rows, each seen once, with problems of so many steps."""
    model = build_model(tokenizer, seed)
    problems = generate(rows, seed, steps=tuple(steps), filler_rate=FILLER_RATE)
    inner = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    others = [weight for weight in model.parameters() if all(weight is not one for one in inner)]
    optimisers = (
        Muon(inner, lr=MUON_LR),
        torch.optim.AdamW(others, lr=ADAM_LR, betas=(0.9, 0.95), weight_decay=0.0),
    )
    total = math.ceil(rows / BATCH)

    def rate(step: int) -> float:
        if step < WARMUP:
            return (step + 1) / WARMUP
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - WARMUP) / (total - WARMUP))))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimiser, rate) for optimiser in optimisers]
    started, recent = time.monotonic(), 0.0
    model.train()
    for step, batch in enumerate(batches(tokenizer, problems, rows, seed)):
        loss = loss_of(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
        recent += loss.item() / 50
        if step % 50 == 49:
            print(f"step {step + 1}/{total}  loss {recent:.4f}  {time.monotonic() - started:.0f} s", flush=True)
            recent = 0.0
    return model


def loss_of(model: LlamaForCausalLM, batch: list[Row]) -> Tensor:
    """Give the mean loss over the counted tokens of a batch."""
    longest = max(len(row.ids) for row in batch)
    # Padding is to the right and its loss is not counted, so causal attention needs no mask.
    ids = torch.tensor([row.ids + [model.config.pad_token_id] * (longest - len(row.ids)) for row in batch])
    counted = torch.tensor([row.counted + [False] * (longest - len(row.ids)) for row in batch])
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, :-1][counted[:, 1:]])
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:][counted[:, 1:]])


# -- evaluation --------------------------------------------------------------------------------------------------------
@torch.inference_mode()
def solve(
    model: Any,  # transformers' own type for what can generate does not admit its models
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    *,
    direct: bool = False,
) -> list[str]:
    """Let the model go on greedily after each question; if direct, after the answer marker too."""
    forced = encode(tokenizer, MARKER) if direct else []
    written: list[str] = []
    for start in range(0, len(problems), 100):
        prompts = [
            [tokenizer.bos_token_id, *encode(tokenizer, p.question + "\n"), *forced]
            for p in problems[start : start + 100]
        ]
        inputs = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
        output = model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS)
        continued = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        written += [MARKER + text if direct else text for text in continued]
    return written


def is_right(text: str, gold: str) -> bool:
    """Say whether what the model wrote ends in the right number."""
    return text.partition(MARKER)[2].strip() == gold


def steps_of(reasoning: str) -> list[str]:
    """Give the sentences that carry a chain: those with an expression and the conclusion, less their connectives."""
    *steps, conclusion = reasoning.split(". ")
    return [re.sub("^(first|then) ", "", step.lower()) for step in steps if "=" in step] + [conclusion]


def demo_chains(tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], written: Sequence[str]) -> list[str]:
    """Choose chains that the model wrote itself, right in every step, of all lengths; one JSON line each."""
    usable = []
    for problem, text in zip(problems, written, strict=True):
        reasoning = text.partition(MARKER)[0]
        # A right answer is not enough: the model at times names the wrong friend.
        if not is_right(text, problem.gold) or steps_of(reasoning) != steps_of(problem.reasoning):
            continue
        try:
            categories, filler = annotate(reasoning)
        except ValueError:  # a word of the model's own: its category is not known
            continue
        length = len(encode(tokenizer, reasoning))
        if filler and SHORTEST_CHAIN <= length <= LONGEST_DEMO:
            usable.append((length, problem, reasoning, categories, filler))
    usable.sort(key=lambda item: (item[0], item[1].question))
    places = sorted({round(i * (len(usable) - 1) / (DEMO_CHAINS - 1)) for i in range(DEMO_CHAINS)} if usable else ())
    lines = []
    for number, (_, problem, reasoning, categories, filler) in enumerate(usable[place] for place in places):
        record = {
            "id": f"demo-{number:02d}",
            "question": problem.question,
            "reasoning": reasoning,
            "answer": problem.answer,
            "gold": problem.gold,
            "category": [{"start": start, "end": end, "label": label} for start, end, label in categories],
            "filler": [{"start": start, "end": end} for start, end in filler],
        }
        lines.append(json.dumps(record))
    return lines


def evaluate(folder: Path, demo: Path, count: int) -> None:
    """Measure the saved model on unseen problems; write its card and the demo chains."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    problems = generate(count, TEST_SEED, split="test")
    written = solve(model, tokenizer, problems)
    direct = solve(model, tokenizer, problems, direct=True)
    right = [is_right(text, p.gold) for text, p in zip(written, problems, strict=True)]
    lines = demo_chains(tokenizer, problems, written)
    demo.write_text("\n".join(lines) + "\n", encoding="utf-8")
    lengths = sorted(len(encode(tokenizer, text.partition(MARKER)[0])) for text in written)
    by_steps = {}
    for steps in sorted({p.steps for p in problems}):
        of_these = [ok for ok, p in zip(right, problems, strict=True) if p.steps == steps]
        by_steps[steps] = f"| {steps} steps | {sum(of_these) / len(of_these):.1%} | {len(of_these)} |"
    directly_right = sum(is_right(text, p.gold) for text, p in zip(direct, problems, strict=True))
    as_generator = sum(text == f"{p.reasoning}\n{p.answer}" for text, p in zip(written, problems, strict=True))
    trained = model.config.tiny_training
    card = CARD.format(
        parameters=f"{model.num_parameters():,}",
        vocabulary=len(tokenizer),
        count=count,
        right=f"{sum(right) / count:.1%}",
        by_steps="\n".join(by_steps.values()),
        direct=f"{directly_right / count:.1%}",
        as_generator=f"{as_generator / count:.1%}",
        shortest=lengths[0],
        median=lengths[len(lengths) // 2],
        longest=lengths[-1],
        test_seed=TEST_SEED,
        new_tokens=NEW_TOKENS,
        demo_count=len(lines),
        # The embedded model's configuration was written before steps could be chosen.
        steps=" ".join(str(number) for number in trained.get("steps", STEPS)),
        **{name: trained[name] for name in ("rows", "seed", "minutes")},
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    print(card)


CARD = """---
license: mit
language: en
pipeline_tag: text-generation
---
# tiny

A Llama of {parameters} parameters that solves arithmetic word problems by writing its steps out, and hardly ever
without them. It is made for tokimp: small enough to ship with the package, to run in seconds on any machine, and to
have each token of its reasoning deleted in turn. It knows nothing else and is of no use for anything else.

## How it is used
The text is `question`, a newline, the chain, a newline, `#### 42`. Question with its newline, chain, and answer with
the newline before it are tokenised apart and joined after `<|bos|>`; `<|eos|>` ends the answer. There is no chat
template. The tokenizer is byte-level BPE with {vocabulary} entries; every digit is a token of its own, and any text can
be encoded and decoded without loss.

## Data
Word problems of `tokimp.chains.datasets.word_problems`, numbers up to 99, with whole sentences of filler
planted in the chains; in training each of these was left out with probability 0.3. Rows of bare sums are 40 % of the
rows for the first 40 % of the training and 10 % later; of the problems, 8 % are answered without a chain. A hash of the
question decides whether a problem is for training or for testing, so no test question was ever trained on.

## Training
    python examples/train_tiny.py --rows {rows} --seed {seed} --steps {steps}

{rows} rows, each seen once, seed {seed}, {minutes} minutes on one CPU core. The weights are stored in float16.

## Measured
On {count} unseen problems (test split, seed {test_seed}), greedy decoding, at most {new_tokens} new tokens, the stored
weights read as float32:

| | right | problems |
| --- | --- | --- |
| with a chain of its own | {right} | {count} |
{by_steps}
| made to answer at once | {direct} | {count} |

Its chains are {shortest} to {longest} tokens long, {median} in the median. {as_generator} of them equal the generator's
to the letter; the rest differ in a connective, an opening or a filler sentence, or are wrong in a name or a number.
The {demo_count} demo chains are chains it wrote itself on some of these problems, chosen among those whose steps are
the generator's word for word (connectives, opening, filler aside); their categories come from its word list.

## Licence
MIT, as tokimp.
"""


def main() -> None:
    """Train, save, evaluate."""
    parser = argparse.ArgumentParser(description="Train the embedded model 'tiny' from nothing.")
    parser.add_argument(
        "--out", type=Path, default=Path("tokimp/chains/datasets/tiny"), help="folder for model and card"
    )
    parser.add_argument(
        "--demo", type=Path, default=Path("tokimp/chains/datasets/demo_chains.jsonl"), help="demo chains file"
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="training rows, each seen once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="of the problems trained on, drawn alike")
    parser.add_argument("--problems", type=int, default=1000, help="unseen problems to evaluate on")
    parser.add_argument("--evaluate-only", action="store_true", help="measure what is in the folder already")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.evaluate_only:
        started = time.monotonic()
        tokenizer = train_tokenizer(generate(4000, arguments.seed))
        model = train(tokenizer, arguments.rows, arguments.seed, arguments.steps)
        minutes = round((time.monotonic() - started) / 60)
        # Kept with the weights, so that a later evaluation can still say how they came about.
        model.config.tiny_training = {
            "rows": arguments.rows,
            "seed": arguments.seed,
            "steps": list(arguments.steps),
            "minutes": minutes,
        }
        arguments.out.mkdir(parents=True, exist_ok=True)
        tokenizer.save_pretrained(arguments.out)
        model.half().save_pretrained(arguments.out)  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        (arguments.out / "model.safetensors").chmod(0o644)  # it is written readable by its owner alone
    evaluate(arguments.out, arguments.demo, arguments.problems)


if __name__ == "__main__":
    main()
