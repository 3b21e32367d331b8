"""Whether the hub can be reached: no network is told apart from a slow hub."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import huggingface_hub
import pytest

from tokimp.storage import hub_reach
from tokimp.storage.hub_reach import hub_is_out_of_reach


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's client ask, directly, and let tries follow each other at once."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.5)
    monkeypatch.setattr(hub_reach, "_WAITS", (0.0, 0.0))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    huggingface_hub.close_session()


@pytest.fixture
def port() -> int:
    """Return a port of this machine where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def overloaded() -> Iterator[int]:
    """Return the port of a server that answers every request with status 503."""

    class Overloaded(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Overloaded) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_hub_that_refuses_or_is_not_known_is_out_of_reach(
    host: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection and a name that means nothing are found within seconds."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://{host}:{port}")
    assert hub_is_out_of_reach()


def test_a_hub_that_answers_is_in_reach_whatever_it_says(overloaded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overloaded hub is left to the client's own tries."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{overloaded}")
    assert not hub_is_out_of_reach()


def test_a_slow_hub_is_in_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and does not answer in time is left to the client, after one request."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begin = time.monotonic()
        assert not hub_is_out_of_reach()
        assert time.monotonic() - begin < 1.4  # the second request would take the time-out once more


def test_a_hub_that_comes_back_is_in_reach(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that fails at first and then succeeds counts as one that succeeds."""
    asked = 0

    class Session:
        def head(self, *_: object, **__: object) -> None:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise RuntimeError("the network library's own error") from ConnectionRefusedError("refused")

    monkeypatch.setattr("huggingface_hub.get_session", Session)
    assert not hub_is_out_of_reach()
    assert asked == 3


def test_a_hub_that_must_not_be_asked_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, no request is made."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.get_session", lambda: pytest.fail("the hub was asked"))
    assert not hub_is_out_of_reach()
