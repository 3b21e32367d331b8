"""The limit for a stranger's code: what does not end is ended, and what ends in time notices nothing."""

from __future__ import annotations

import threading
import time

import pytest

import tokimp as ti
from tokimp.chains.time_limit import TimeIsUp, time_limit
from tokimp.errors import TokenizationError
from tokimp.testing.random_models import byte_tokenizer
from tokimp.testing.toy_scorer import toy_chain


def loop_for_ever(seconds: float) -> None:
    """Loop until the limit ends it."""
    with time_limit(seconds):
        while True:
            pass


def test_an_endless_loop_ends() -> None:
    """A loop of Python code is left soon after the limit."""
    start = time.perf_counter()
    with pytest.raises(TimeIsUp):
        loop_for_ever(0.1)
    assert time.perf_counter() - start < 10


def test_what_ends_in_time_goes_on() -> None:
    """Nothing is raised within the block or after it."""
    with time_limit(0.2):
        total = sum(range(10))
    time.sleep(0.4)
    assert total == 45


def test_it_holds_in_the_thread_that_asks_for_it() -> None:
    """A limit within a thread ends that thread's block, and no other's."""
    ended: list[bool] = []

    def endless() -> None:
        with pytest.raises(TimeIsUp):
            loop_for_ever(0.1)
        ended.append(True)

    thread = threading.Thread(target=endless)
    thread.start()
    thread.join()
    assert ended == [True]


def test_an_endless_template_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat template whose loops take days is an error that names the chain and says what to use instead."""
    monkeypatch.setattr("tokimp.chains.chat_template._LONGEST_RENDERING", 0.3)
    tokenizer = byte_tokenizer()
    loops = "".join(f"{{% for a{depth} in range(9999) %}}" for depth in range(4))
    tokenizer.chat_template = loops + "{{ messages[0].content }}" + "{% endfor %}" * 4
    with pytest.raises(TokenizationError, match=r"did not end within 0.3 s.*prompt format 'plain'"):
        ti.tokenize_chain(toy_chain("ab", id="x").chain, tokenizer, prompt_format="chat")
