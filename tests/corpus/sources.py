"""Fetch what the corpus runs: an environment per Python, and packages' source distributions.

Both under `.venvs/`, made once. Fetched with pip as this machine has it set up.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

from matrix import ROOT, environment, find_python

SOURCES = ROOT / ".venvs" / "corpus-sources"


def corpus_python(version: str) -> Path | None:
    """Find, or make, the interpreter of one Python's environment; None if there is no such Python."""
    python = find_python(version)
    return None if python is None else environment(f"corpus-{version}", python, "corpus")


def pinned(name: str) -> str:
    """Read a package's version from the group `corpus`, its only home."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for requirement in project["dependency-groups"]["corpus"]:
        pin, _, version = requirement.partition("==")
        if pin.partition("[")[0] == name and version:
            return version
    raise LookupError(f"pyproject.toml pins no {name} in the group corpus.")


def source_of(name: str) -> Path:
    """Fetch and unpack a package's source distribution. Returns: its folder."""
    version = pinned(name)
    folder = SOURCES / f"{name}-{version}"
    if not folder.is_dir():
        # Only its own source: what builds it may come as a wheel.
        asked = ["download", "--quiet", "--no-deps", "--no-binary", name, "--dest", SOURCES]
        subprocess.run([sys.executable, "-m", "pip", *asked, f"{name}=={version}"], check=True)
        archive = next(SOURCES.glob(f"{name.replace('-', '?')}-{version}.tar.gz"))
        with tarfile.open(archive) as content:
            content.extractall(SOURCES / "unpacking", filter="data")
        next((SOURCES / "unpacking").iterdir()).rename(folder)
    return folder
