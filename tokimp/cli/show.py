"""``tokimp show``: chains as they will be tokenised, so that a mistake is seen before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.options import (
    FORMAT,
    KEEP_CALCULATOR,
    MODEL,
    PROMPT_FORMAT,
    SKIP_BAD,
    SPECIFICATION,
    SPLIT,
    THINK_TAGS,
    TRUST_REMOTE_CODE,
    UNIT_OPTION,
)

if TYPE_CHECKING:
    from tokimp.chains.chain import Chain

_SHOWN = 3


@click.command(epilog="For example: tokimp show demo --unit sentence --limit 1")
@click.argument("chains", default="demo")
@MODEL
@TRUST_REMOTE_CODE
@UNIT_OPTION
@PROMPT_FORMAT
@THINK_TAGS
@click.option(
    "--categorizer",
    metavar=SPECIFICATION,
    help="Put the tokens into categories by this categorizer (rules, llm, ...).  [default: the chains' own]",
)
@click.option("--chain", "wanted", multiple=True, metavar="ID", help="Show this chain; give the option once for each.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Show the first N chains.  [default: {_SHOWN}, or those that --chain names]",
)
@click.option("--table", is_flag=True, help="Show a row for each token: unit, id, text, characters, category.")
@FORMAT
@SPLIT
@KEEP_CALCULATOR
@SKIP_BAD
def show(
    chains: str,
    *,
    model: str,
    trust_remote_code: bool,
    unit: str,
    prompt_format: Any,
    think_tags: tuple[str, str] | None,
    categorizer: str | None,
    wanted: tuple[str, ...],
    limit: int | None,
    table: bool,
    record_format: str,
    split: str,
    keep_calculator: bool,
    skip_bad: bool,
) -> None:
    """Print CHAINS as the model will be given them: tokens, the units they are deleted in, and their categories.

    A │ stands where one unit meets the next, a ┊ between tokens of one unit, and ↵ for a line break. Only the
    tokenizer of the model is loaded.
    """
    from tokimp.chains.datasets import SkippedRecord, load_chains
    from tokimp.chains.display import token_counts
    from tokimp.cli.lines import echo, echo_left_out
    from tokimp.contracts.categorizer import categorize_chains
    from tokimp.contracts.registry import load_categorizer
    from tokimp.contracts.tokenization import tokenize_chain
    from tokimp.models.configuration import load_tokenizer
    from tokimp.report.chain_tokens import chain_tokens, token_table
    from tokimp.report.terminal import TerminalConsole, console_for, print_whole

    skipped: list[SkippedRecord] | None = [] if skip_bad else None
    loaded = load_chains(
        chains,
        format=record_format,
        limit=None if wanted else limit or _SHOWN,
        keep_calculator=keep_calculator,
        skipped=skipped,
        split=split,
    )
    for record in skipped or []:
        echo_left_out(record.reason, record.where)
    shown = _named(loaded, wanted, chains)[:limit]
    if categorizer is not None:
        shown = categorize_chains(shown, load_categorizer(categorizer))
    tokenizer = load_tokenizer(model, trust_remote_code=trust_remote_code)
    for number, chain in enumerate(shown):
        tokens = tokenize_chain(chain, tokenizer, prompt_format, unit, think_tags=think_tags)
        if table:
            rows = token_table(tokens)
            echo(f"{chain.id}  {token_counts(tokens)}")
            print_whole(console_for([rows]), rows)
        else:
            console = TerminalConsole()
            console.print(chain_tokens(tokens, tokenizer), soft_wrap=not console.is_terminal)
            if number < len(shown) - 1:
                console.print()


def _named(chains: list[Chain], ids: tuple[str, ...], source: str) -> list[Chain]:
    """Return the chains with some ids, in that order; all of them where none was named."""
    from tokimp.errors import ChainError, did_you_mean

    by_id = {chain.id: chain for chain in chains}
    for chain_id in ids:
        if chain_id not in by_id:
            raise ChainError(f"{source}: there is no chain {chain_id!r}{did_you_mean(chain_id, by_id)}")
    return [by_id[chain_id] for chain_id in ids] if ids else chains
