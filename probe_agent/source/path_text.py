"""Lines of a file that no module was loaded from yet: compiled in pieces, never executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import CodeType

from probe_agent.errors import Unsupported
from probe_agent.literal import spelled
from probe_agent.source.lines import Chain, line_map
from probe_agent.source.pieces import pieces
from probe_agent.source.text import Text, read_text


def lines_on_path(path: str) -> tuple[Text, Mapping[int, Sequence[Chain]], list[CodeType]]:
    """Read a file and list the lines that will run once it is imported, with stand-in chains and
    roots.

    Raises: Unsupported: it cannot be read or compiled.
    """
    text = read_text(path)
    if text is None:
        raise Unsupported(
            f"Cannot look into {spelled(path)}",
            "it cannot be read as Python source",
            "Choose another file",
        )
    try:
        roots = [piece.code() for piece in pieces(text.lines)]
    except (SyntaxError, ValueError, RecursionError):
        raise Unsupported(
            f"Cannot look into {spelled(path)}", "it does not compile", "Mend the file first"
        ) from None
    return text, line_map(roots), roots
