"""What each tool takes, exactly as the tool contract names it. What is not built yet is absent.

The models check shape and range; `checking` turns a failed check into our own words. A description
is read by a model at every start: every word costs.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)
]
Text: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)
]
Template: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Reason: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=8, max_length=500)
]
Line: TypeAlias = Annotated[int, Field(ge=1, le=10_000_000)]
InstanceCount: TypeAlias = Annotated[int, Field(ge=1, le=100_000)]
Names: TypeAlias = Annotated[list[Name], Field(min_length=1, max_length=100)]
Captures: TypeAlias = Annotated[list[Text], Field(min_length=1, max_length=50)]
Labels: TypeAlias = Annotated[dict[Name, Name], Field(max_length=20)]
Wait: TypeAlias = Annotated[float, Field(ge=0, le=40, allow_inf_nan=False)]
Tokens: TypeAlias = Annotated[int, Field(ge=200, le=20_000)]


class Input(BaseModel):
    """Arguments of a tool. `token_budget` of a tool without that input is the contract's 2,000."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ListServices(Input):
    """Arguments of `list_services`."""

    service: Name | None = Field(None, description="only this one, with its instances")
    environment: Name | None = None
    token_budget: Tokens = Field(2000, description="most tokens of the answer")


class FindCode(Input):
    """Arguments of `find_code`."""

    service: Name = Field(description="as list_services names it")
    environment: Name | None = Field(None, description="needed if it runs in several")
    version: Name | None = None
    file: Text | None = Field(
        None, description="trailing path, e.g. trades/validate.py; alone: its outline"
    )
    line: Line | None = Field(
        None, description="with file: the code around it and the names readable there"
    )
    function: Text | None = Field(
        None, description="instead of file: dotted or qualified name; its whole text"
    )
    token_budget: Tokens = Field(2000, description="most tokens of the answer")


class Place(Input):
    """Arguments that the placing tools share."""

    service: Name = Field(description="as list_services names it")
    environment: Name | None = Field(None, description="needed if it runs in several")
    version: Name | None = None
    instances: InstanceCount | Names | None = Field(
        None, description="at most this many (1: a careful first look), or ids; default all"
    )
    labels: Labels | None = Field(None, description="only instances with all of these")
    file: Text = Field(description="trailing path, e.g. trades/validate.py")
    line: Line | None = Field(None, description="give line, or expect_code, or both")
    expect_code: Text | None = Field(
        None, description="whole text of the line; finds it, or guards against drift"
    )
    condition: Text | None = Field(
        None, description="read-only expression; only hits where it is true count"
    )
    ttl_seconds: int = Field(600, ge=10, le=86_400)
    reason: Reason = Field(description="the question this answers; audited")
    wait_seconds: Wait = Field(15, description="returns earlier once max_hits is reached")
    dry_run: bool = Field(default=False, description="check everything, place nothing")


class PlaceSnapshot(Place):
    """Arguments of `place_snapshot`."""

    capture: Captures | None = Field(
        None, description="expressions, each may be named: name=expression; default all locals"
    )
    stack_frames: int = Field(5, ge=0, le=50)
    max_hits: int = Field(5, ge=1, le=1000, description="over the whole fleet; then it is gone")


class PlaceDynamicLog(Place):
    """Arguments of `place_dynamic_log`."""

    message: Template = Field(
        description="template: {expression}, {expression:format}; {{ is a brace"
    )
    max_hits: int = Field(50, ge=1, le=1000, description="over the whole fleet; then it is gone")


class ReadResults(Input):
    """Arguments of `read_results`."""

    probe_ids: Names | None = Field(None, description="default: all of this session")
    cursor: Name | None = Field(None, description="next_cursor of an earlier answer")
    wait_seconds: Wait = Field(0, description="returns at the first result after the cursor")
    limit: int = Field(20, ge=1, le=500)
    detail: Literal["summary", "full"] = Field(
        "summary", description="full adds stack, thread, task, version, ids"
    )
    token_budget: Tokens = Field(2000, description="most tokens of the answer")


class ListProbes(Input):
    """Arguments of `list_probes`."""

    service: Name | None = None
    all: bool = Field(default=False, description="also those of your other sessions")
    cursor: Name | None = None
    token_budget: Tokens = Field(2000, description="most tokens of the answer")


class RemoveProbes(Input):
    """Arguments of `remove_probes`."""

    probe_ids: Names | None = Field(None, description="these, or all_mine")
    all_mine: bool = Field(default=False, description="every probe of this session")
