"""A language model that is asked over HTTP: an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from tokimp.errors import CategorizerError
from tokimp_categorizers.llm_prompt import AnswerError, Message

KEY_VARIABLE = "TOKIMP_LLM_KEY"
_LONGEST_WAIT = 60.0  # seconds, where the server does not say
_LONGEST_ASKED = 600.0  # seconds that a server may ask to wait; longer waits are an error that says so
_SHOWN = 300  # characters of a server's message
_BUSY = {408, 425, 429}  # worth asking again later, as are all errors of the server's own


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The chat completions of an OpenAI-compatible server.

    Attributes
    ----------
    url
        Address without ``/chat/completions``, such as ``https://api.openai.com/v1``.
    model
        Name of the model on the server.
    key_variable
        Environment variable that holds the key; if empty, no key is sent. The key is read when it is needed, stored
        nowhere and shown in no message.
    temperature
        Temperature of sampling; ``None`` leaves it to the server.
    json_mode
        Whether to ask the server for a JSON object (``response_format``).
    timeout
        Seconds for connecting, and for each wait for data.
    retries
        How often a request is sent again after a timeout, or if the server is busy or failing.
    wait
        Seconds before a request is sent again the first time, doubled each time up to a minute. If the server asks for
        a longer wait (``Retry-After``, in seconds), that is kept up to ten minutes; more than that is an error.
    sleep
        Called with the seconds to wait.
    """

    url: str
    model: str
    key_variable: str
    temperature: float | None
    json_mode: bool
    timeout: float
    retries: int
    wait: float
    sleep: Callable[[float], None] = time.sleep

    def complete(self, conversation: Sequence[Message]) -> str:
        """Return the server's answer to a conversation.

        Raises
        ------
        AnswerError
            If the answer was cut short.
        CategorizerError
            If there is no answer: address or key are wrong, the server refuses the request, goes on failing, or asks
            for a wait of more than ten minutes.
        """
        asked: dict[str, Any] = {"model": self.model, "messages": list(conversation)}
        if self.temperature is not None:
            asked["temperature"] = self.temperature
        if self.json_mode:
            asked["response_format"] = {"type": "json_object"}
        # Escaped to ASCII: a text may hold half a surrogate pair, which has no bytes.
        body = json.dumps(asked).encode()
        for attempt in range(self.retries + 1):
            try:
                # Redirects are not followed, since the key is only for the address that was named.
                response = httpx.post(self._address, content=body, headers=self._headers, timeout=self.timeout)
            except httpx.HTTPError as error:
                problem, hint = f"{type(error).__name__}: {error}", "is it running, and the url right?"
                after = 0.0
            except (httpx.InvalidURL, UnicodeError) as error:
                raise CategorizerError(f"{self.url!r} is no address ({error}); give url=http://host:port/v1") from error
            else:
                if response.is_success:
                    return self._content(response)
                problem, hint, after = self._failure(response)
            if attempt < self.retries:
                self.sleep(max(after, min(_LONGEST_WAIT, self.wait * 2**attempt)))
        raise CategorizerError(f"{self.url} gave no answer, asked {self.retries + 1} times ({problem}); {hint}")

    @property
    def _address(self) -> str:
        try:
            parts = urlsplit(self.url)
        except ValueError as error:
            raise CategorizerError(f"{self.url!r} is no address ({error}); give url=http://host:port/v1") from error
        if parts.username is not None or parts.query:
            raise CategorizerError(
                "the url holds a user's name or a query, which would be stored with the run; put a key into the "
                f"environment variable {self.key_variable or KEY_VARIABLE}"
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CategorizerError(f"url={self.url!r} is not allowed; give one such as https://api.openai.com/v1")
        return self.url.rstrip("/") + "/chat/completions"

    @property
    def _key(self) -> str:
        key = os.environ.get(self.key_variable, "").strip() if self.key_variable else ""
        if not key and self.key_variable not in {"", KEY_VARIABLE}:
            raise CategorizerError(
                f"the environment variable {self.key_variable} holds no key; set it, or leave it out"
            )
        if not (key.isascii() and (key.isprintable() or not key)):
            raise CategorizerError(f"the key in {self.key_variable} holds characters that no key has; set it again")
        return key

    @property
    def _headers(self) -> dict[str, str]:
        plain = {"Content-Type": "application/json"}
        return {**plain, "Authorization": f"Bearer {self._key}"} if self._key else plain

    def _content(self, response: httpx.Response) -> str:
        try:
            choice = response.json()["choices"][0]
            content = choice["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise CategorizerError(
                f"{self.url} answered with something else than a chat completion ({self._shown(response.text)}); is "
                "the url that of an OpenAI-compatible server, up to /v1?"
            ) from error
        if not isinstance(content, str):
            raise AnswerError("there is no text in it")
        if choice.get("finish_reason") == "length":
            raise AnswerError("it was cut short; say it without white space")
        return content

    def _shown(self, text: str) -> str:
        """Return the beginning of a server's message on one line, without the key, which some servers repeat."""
        hidden = text.replace(self._key, "(key)") if self._key else text
        return " ".join(hidden.split())[:_SHOWN]

    def _failure(self, response: httpx.Response) -> tuple[str, str, float]:
        """Return what is the matter, what to do, and how many seconds to wait; raise where waiting will not help."""
        problem, hint = f"status {response.status_code}: {self._shown(response.text)}", self._hint(response)
        if response.status_code not in _BUSY and not response.is_server_error:
            raise CategorizerError(f"{self.url} answered with {problem}; {hint}")
        after = _retry_after(response)
        if after > _LONGEST_ASKED:
            raise CategorizerError(
                f"{self.url} answered with {problem}, and asks for {after:.0f} seconds of waiting; run again after "
                "that: what was answered is kept"
            )
        return problem, hint, after

    def _hint(self, response: httpx.Response) -> str:
        """Return what to do about a status that is no success."""
        status = response.status_code
        if status in _BUSY or response.is_server_error:
            return "wait, and run again: what was answered is kept"
        if status in {401, 403}:
            return f"put the server's key into the environment variable {self.key_variable or KEY_VARIABLE}"
        if status in {400, 422}:
            return (
                "leave out what it does not know (json_mode=false, temperature=null), or ask for fewer words at a time"
            )
        if status == 413:
            return "ask for fewer words at a time (words=20)"
        if response.is_redirect:
            # Not followed, lest the key be sent elsewhere.
            to = self._shown(response.headers.get("location", "")) or "another address"
            return f"it points to {to}: give the url of the server itself, up to /v1, with the right http or https"
        return "check url and model: the url is that of an OpenAI-compatible server, up to /v1"


def _retry_after(response: httpx.Response) -> float:
    """Return how many seconds a server asks to wait; 0 where it does not say, or says a date."""
    try:
        return max(0.0, float(response.headers.get("retry-after", "")))
    except ValueError:
        return 0.0
