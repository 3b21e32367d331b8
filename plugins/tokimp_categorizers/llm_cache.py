"""The labels that language models gave, kept on disk so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokimp.errors import CategorizerError
from tokimp.storage.atomic import write_object
from tokimp.storage.json_file import read_object
from tokimp_categorizers.llm_prompt import LABELS


@dataclass(frozen=True, slots=True)
class LabelCache:
    """One small JSON file for each conversation, named by a digest of who was asked what.

    A file holds labels and who gave them, but neither texts nor keys. A damaged file counts as missing.

    Attributes
    ----------
    folder
        Folder of the files; it is made when the first answer is kept.
    """

    folder: Path

    def get(self, asked: dict[str, Any], count: int) -> list[str] | None:
        """Return the `count` labels that were kept for what is asked; ``None`` if there are none."""
        try:
            kept = read_object(self._path(asked))
            labels = kept["labels"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_whole = isinstance(labels, list) and len(labels) == count and all(label in LABELS for label in labels)
        return labels if is_whole else None

    def keep(self, asked: dict[str, Any], labels: list[str]) -> None:
        """Keep the labels that were given for what was asked.

        Raises
        ------
        CategorizerError
            If the folder cannot be written to.
        """
        content = {"model": asked["model"], "url": asked["url"], "labels": labels}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_object(self._path(asked), content)
        except OSError as error:
            raise CategorizerError(f"{self.folder} cannot be written to ({error}); give cache=FOLDER") from error

    def _path(self, asked: dict[str, Any]) -> Path:
        # Escaped to ASCII, since a text may hold half a surrogate pair, which has no bytes.
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest}.json"
