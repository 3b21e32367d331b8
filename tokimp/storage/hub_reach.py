"""Whether the Hugging Face hub can be reached from here, found within seconds."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator

_WAITS = (1.0, 2.0)  # seconds between three tries: a short break of the network passes
_SLOW = (TimeoutError, ssl.SSLError)


def hub_is_out_of_reach() -> bool:
    """Return whether no connection to the hub can be made: its name is not known here, or nobody answers there.

    The hub's client tries for half a minute for each file that it looks for, and looks for several. That is right for
    a hub that is slow or overloaded, and of no use where there is no network. So one request is made first, with the
    client's own session (its proxies and certificates), and twice more if it fails. Only a refused or impossible
    connection counts: whatever the hub answers, and a time-out, leave the decision to the client and its own tries.
    False where the client is not to ask the hub (``HF_HUB_OFFLINE``), which says so itself.
    """
    from huggingface_hub import constants, get_session, is_offline_mode  # noqa: PLC0415 - slow to import

    if is_offline_mode():
        return False
    for wait in (*_WAITS, None):
        try:
            get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        # The class of an error depends on the network library that the client uses, which changes with its version.
        except Exception as error:  # noqa: BLE001
            if not _is_no_connection(error):
                return False
        else:
            return False
        if wait is not None:
            time.sleep(wait)
    return True


def _is_no_connection(error: Exception) -> bool:
    """Return whether an error came from a failed connection, and not from a slow one or from its encryption."""
    causes = list(_causes(error))
    return any(isinstance(cause, OSError) for cause in causes) and not any(isinstance(cause, _SLOW) for cause in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and the errors that it came from, whether or not it was raised from them."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
