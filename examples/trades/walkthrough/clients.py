"""How to point an assistant of your own at the service that `--keep` left running."""

from __future__ import annotations

import json

QUESTION = (
    "The service trades (prod) accepts trades over its limit of 9000, with no error in its log. "
    "Ask the running service why."
)


def configurations(sonde: str, home: str | None) -> list[tuple[str, str]]:
    """Write what each client wants in its file.

    Args: sonde: absolute path of the command. home: SONDE_HOME, or None if it is the default.
    Returns: pairs of what to edit and the JSON to put there.
    """
    server: dict[str, object] = {"command": sonde, "args": ["mcp"]}
    if home is not None:
        server["env"] = {"SONDE_HOME": home}
    usual = json.dumps({"mcpServers": {"sonde": server}}, indent=2)
    vscode = json.dumps({"servers": {"sonde": {"type": "stdio", **server}}}, indent=2)
    return [
        ("Claude Desktop: claude_desktop_config.json (Settings, Developer, Edit Config)", usual),
        ("Cursor: .cursor/mcp.json in the project, or ~/.cursor/mcp.json", usual),
        ("VS Code: .vscode/mcp.json in the project", vscode),
    ]
