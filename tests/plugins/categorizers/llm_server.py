"""A server on this machine that answers as a language model would, or as it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tokimp_categorizers.llm import LLMCategorizer
from tokimp_categorizers.rules import RulesCategorizer

from tokimp.chains.chain import Chain
from tokimp.contracts.categorizer import categorize_chains

CHAIN = Chain("sum", "Eva has 3 eggs. She buys 4. How many?", "Eva buys 4, so 3+4=7. Done.", "7")
Reply = tuple[int, Any]


@dataclass
class Server:
    """What a server was asked, and what it answers: one reply a request, the last for all that follow."""

    url: str = ""
    replies: list[Reply | Callable[[dict[str, Any]], Reply]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    retry_after: str = "0"
    stop: Callable[[], None] = lambda: None

    def reply(self, request: dict[str, Any]) -> Reply:
        """Return the reply to a request."""
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply(request) if callable(reply) else reply


def labels_for(request: dict[str, Any]) -> dict[str, str]:
    """Return labels by rule for the words that a request asks about."""
    asked = json.loads([m for m in request["messages"] if m["content"].startswith('{"question"')][-1]["content"])
    rules = RulesCategorizer().categorize(Chain("x", asked["question"], asked["passage"], "a"))
    return {number: span.label for number, span in zip(asked["words"], rules, strict=True)}


def says(content: Any, finish: str = "stop") -> Reply:
    """Return a chat completion with this content."""
    return 200, {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": finish}]}


def right(request: dict[str, Any]) -> Reply:
    """Answer as asked."""
    return says(json.dumps(labels_for(request)))


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server on a free port of this machine."""
    state = Server(replies=[right])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append({"path": self.path, **request})
            state.keys.append(self.headers.get("Authorization"))
            status, content = state.reply(request)
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status in {301, 302, 307, 308}:
                self.send_header("Location", state.url + "/elsewhere")
            if status == 429:
                self.send_header("Retry-After", state.retry_after)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name for it
            """Say nothing on stderr."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{running.server_address[1]}/v1"

    def stop() -> None:
        running.shutdown()
        running.server_close()
        thread.join()

    state.stop = stop
    yield state
    if thread.is_alive():
        stop()


def ask(server: Server, chain: Chain = CHAIN, **options: Any) -> dict[str, str]:
    """Return the label of each word, as the categorizer has it from the server."""
    categorizer = LLMCategorizer("m", server.url, **{"wait": 0.001, "timeout": 5.0, **options})
    (labelled,) = categorize_chains([chain], categorizer)
    return {chain.reasoning[span.start : span.end]: span.label for span in labelled.category}
