"""A server that is asked: one that answers badly, late or not at all, and what becomes of the key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tokimp_categorizers.llm import LLMCategorizer
from tokimp_categorizers.llm_endpoint import Endpoint

from tests.plugins.categorizers.llm_server import Reply, Server, ask, right, says
from tokimp.errors import CategorizerError

KEY = "sk-secret-123"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_or_failing_server_is_asked_again(server: Server, status: int) -> None:
    """Errors that pass are waited for; those that do not are an error that says so."""
    server.replies = [(status, b"later"), (status, b"later"), right]
    assert ask(server)["buys"] == "verbal_math"
    assert len(server.asked) == 3
    server.replies = [(status, b"later")]
    with pytest.raises(CategorizerError, match=f"asked 2 times .status {status}: later.; wait, and run again"):
        ask(server, retries=1, temperature=None)


def endpoint(server: Server, slept: list[float], **options: Any) -> Endpoint:
    """Return an endpoint that notes how long it would sleep."""
    given = {"key_variable": "", "temperature": 0.0, "json_mode": True, "timeout": 5.0, "retries": 3, "wait": 1.0}
    return Endpoint(server.url, "m", **{**given, **options}, sleep=slept.append)


def test_a_server_says_how_long_to_wait(server: Server) -> None:
    """What it asks for counts where it is more than the usual wait, which doubles up to a minute."""
    for asked, expected in (("95", [95.0] * 3), ("3", [3.0, 3.0, 4.0]), ("tomorrow", [1.0, 2.0, 4.0])):
        slept: list[float] = []
        server.retry_after, server.replies = asked, [*[(429, b"later")] * 3, says("{}")]
        assert endpoint(server, slept).complete([]) == "{}"
        assert slept == expected
    server.replies, slept = [*[(503, b"")] * 4, says("{}")], []
    assert endpoint(server, slept, wait=20.0, retries=4).complete([]) == "{}"
    assert slept == [20.0, 40.0, 60.0, 60.0]


@pytest.mark.parametrize("asked", ["86400", "inf"])
def test_a_server_that_asks_for_too_long_is_not_waited_for(server: Server, asked: str) -> None:
    """Nobody is left to guess why nothing happens for a day."""
    slept: list[float] = []
    server.retry_after, server.replies = asked, [(429, b"quota")]
    with pytest.raises(CategorizerError, match=f"status 429: quota, and asks for {asked} seconds.*run again after"):
        endpoint(server, slept).complete([])
    assert not slept


def test_a_server_that_does_not_answer_in_time_is_asked_again(server: Server) -> None:
    """A request that takes too long is given up and sent again."""

    def late(request: dict[str, Any]) -> Reply:
        time.sleep(0.5)
        return right(request)

    server.replies = [late, right]
    assert ask(server, timeout=0.2)["buys"] == "verbal_math"
    server.replies = [late]
    with pytest.raises(CategorizerError, match=r"asked 1 times .ReadTimeout"):
        ask(server, timeout=0.1, retries=0, temperature=None)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((401, {"error": f"bad key {KEY}"}), r"status 401: .*bad key \(key\).*TOKIMP_LLM_KEY"),
        ((404, b"no such model"), "status 404: no such model; check url and model"),
        ((400, b"response_format?"), "json_mode=false"),
        ((422, b"temperature?"), "status 422: .*temperature=null"),
        ((413, b"too long"), "status 413: too long; ask for fewer words"),
        ((405, b"POST?"), "status 405: .*check url"),
        ((402, b"pay"), "status 402: pay; check url"),
        ((301, b""), "status 301: .*it points to http://127.*/v1/elsewhere: give the url"),
        ((302, b""), "status 302"),
        ((307, b""), "status 307"),
        ((308, b""), "status 308"),
        ((200, b"<html>"), "something else than a chat completion .<html>"),
        ((200, {"choices": []}), "something else than a chat completion"),
    ],
)
def test_errors_that_will_not_pass_are_not_repeated(
    server: Server, monkeypatch: pytest.MonkeyPatch, reply: Reply, message: str
) -> None:
    """They are said at once, with the server's words and what to do, and never show the key."""
    monkeypatch.setenv("TOKIMP_LLM_KEY", KEY)
    server.replies = [reply]
    with pytest.raises(CategorizerError, match=message) as caught:
        ask(server)
    assert KEY not in str(caught.value)
    assert "wait" not in str(caught.value)
    assert len(server.asked) == 1


def test_the_key_comes_from_the_environment_and_stays_there(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is sent as a bearer token, from the variable that is named, and written nowhere."""
    ask(server)
    monkeypatch.setenv("TOKIMP_LLM_KEY", KEY)
    ask(server, words=5)
    monkeypatch.setenv("OTHER_KEY", "other")
    ask(server, words=100, key_variable="OTHER_KEY", temperature=None)
    assert [server.keys[0], server.keys[1], server.keys[-1]] == [None, f"Bearer {KEY}", "Bearer other"]
    kept = [file.read_text() for file in (tmp_path / "cache").rglob("*.json")]
    assert kept
    assert not any(KEY in text or text == "other" for text in kept)
    assert KEY not in repr(vars(LLMCategorizer("m", server.url)))
    for name, value, message in (
        ("NO_KEY", None, "NO_KEY holds no key"),
        ("BAD_KEY", "a\nb\u00e9", "BAD_KEY holds characters"),
    ):
        if value is not None:
            monkeypatch.setenv(name, value)
        with pytest.raises(CategorizerError, match=message) as caught:
            ask(server, key_variable=name, words=7)
        assert "\u00e9" not in str(caught.value)
