"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No test may depend on how fast the machine is; the first example often pays for an import.
settings.register_profile("tokimp", deadline=None, print_blob=True)
settings.load_profile("tokimp")


@pytest.fixture(autouse=True)
def _no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the list of the models that were asked for out of the user's cache folder."""
    listed = tmp_path_factory.getbasetemp() / "models_asked_for.jsonl"
    monkeypatch.setattr("tokimp.storage.asked_models._file", lambda: listed)
