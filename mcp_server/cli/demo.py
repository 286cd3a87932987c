"""`sonde demo`: a real service with a bug, and a scripted assistant that finds it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from mcp_server.errors import ConfigurationError

# In an installed wheel, and in a checkout.
_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "examples" / "trades", _PACKAGE.parent / "examples" / "trades")


def demo(arguments: Sequence[str]) -> int:
    """Run `examples/trades/demo.py`. Returns: its exit status."""
    script = next((p / "demo.py" for p in _PLACES if (p / "demo.py").is_file()), None)
    spec = script and importlib.util.spec_from_file_location("sonde_demo", script)
    if not spec or spec.loader is None:
        raise ConfigurationError(
            "Cannot run the demo",
            "its example service is not installed beside Sonde",
            "Install Sonde from its wheel, or run this in a checkout",
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return int(module.main(list(arguments)))
