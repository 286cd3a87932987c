"""`list_services` and `find_code`: what is running, and which code."""

from __future__ import annotations

from mcp_server.errors import InvalidArgument
from mcp_server.model import SourceQuestion, Target
from mcp_server.render import Rendered
from mcp_server.render.code import render_code
from mcp_server.render.services import render_services
from mcp_server.tools.call import Call
from mcp_server.tools.checking import given_arguments, shown
from mcp_server.tools.inputs import FindCode, ListServices


async def list_services(call: Call, asked: ListServices) -> Rendered:
    """List what has dialled in.

    Raises: UnknownService.
    """
    views = await call.hub.services(asked.service, asked.environment, call.by)
    is_there = any(view.instances for view in views)
    how = "" if is_there else _how_to_connect(asked, call.home)
    return render_services(views, given_arguments(asked), how, asked.token_budget)


def _how_to_connect(asked: ListServices, home: str) -> str:
    """Args: asked: a service among it is known, the hub has refused others."""
    who = "service" if asked.service is None else f"instance of {asked.service}"
    where = "" if asked.environment is None else f" in environment {shown(asked.environment)}"
    return (
        f"No {who} is connected{where}. Start one with: sonde run --service NAME -- COMMAND, or"
        " call probe_agent.start(service=NAME) in it; it finds this server through SONDE_HOME"
        f" ({home}) within a second."
    )


async def find_code(call: Call, asked: FindCode) -> Rendered:
    """Show the code that runs.

    Raises: InvalidArgument, or what `Hub.find_code` refuses with.
    """
    if (asked.file is None) is (asked.function is None):
        raise InvalidArgument(
            "Cannot tell what to find",
            "file and function are two ways to say it, and exactly one is needed",
            "Give file (with line, or alone for its outline), or function",
        )
    if asked.line is not None and asked.file is None:
        raise InvalidArgument(
            "Cannot find a line", "line needs the file it is in", "Give file too, or leave out line"
        )
    target = Target(asked.service, asked.environment, asked.version)
    question = SourceQuestion(asked.file or "", asked.line or 0, asked.function or "")
    answer = await call.hub.find_code(target, question, call.by)
    return render_code(answer, given_arguments(asked), asked.token_budget)
