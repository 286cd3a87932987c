"""Files inside of zip archives on the import path, as `zipimport` names them."""

from __future__ import annotations

import os
from zipimport import ZipImportError, zipimporter


def is_in_archive(path: str) -> bool:
    """True if a path leads to a file inside of an archive."""
    return read_member(path) is not None


def read_member(path: str) -> bytes | None:
    """Read a file inside of an archive; None if there is no such archive or file."""
    archive = os.path.dirname(path)
    while archive and not os.path.exists(archive):
        archive, before = os.path.dirname(archive), archive
        if archive == before:
            return None
    if not os.path.isfile(archive):
        return None
    try:
        return zipimporter(archive).get_data(path)
    except (OSError, ZipImportError):
        return None
