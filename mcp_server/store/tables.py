"""Every table of the store. Times are milliseconds since the Unix epoch, in columns named `*_ms`.

A change here needs a new SCHEMA_VERSION and a step that brings older stores along.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    DDL,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
)

SCHEMA_VERSION: Final = 2

schema: Final = MetaData()

# What the store says about itself: `schema_version`, and `tag`, which tells one store's cursors
# from another's.
meta: Final = Table(
    "meta",
    schema,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# One row per server process. `lapses_ms`: the end of its lease, moved on at each renewal.
# `holding_since_ms`: since when it has held the agents, if it does.
sessions: Final = Table(
    "sessions",
    schema,
    Column("id", Text, primary_key=True),
    Column("principal", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_ms", Integer, nullable=False),
    Column("renewed_ms", Integer, nullable=False),
    Column("lapses_ms", Integer, nullable=False),
    Column("ended_ms", Integer),
    Column("holding_since_ms", Integer),
)

# One row per process with an agent. `holder`: the session that holds its stream; without it, it is
# not connected. `holds_until_ms`: until when a gone agent may still have probes in place (its
# lease). `through_number`: the last result that is stored or known to be beyond a limit.
instances: Final = Table(
    "instances",
    schema,
    Column("id", Text, primary_key=True),
    Column("service", Text, nullable=False, index=True),
    Column("environment", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("python", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("since_ms", Integer, nullable=False),
    Column("holder", Text, ForeignKey("sessions.id")),
    Column("holds_until_ms", Integer, nullable=False),
    Column("through_number", Integer, nullable=False),
)

# Immutable but for `removed_ms`. `spec`: the rest of the probe as JSON.
probes: Final = Table(
    "probes",
    schema,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("principal", Text, nullable=False),
    Column("session", Text, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("client", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("max_hits", Integer, nullable=False),
    Column("spec", Text, nullable=False),
    Column("created_ms", Integer, nullable=False),
    Column("expires_ms", Integer, nullable=False),
    Column("removed_ms", Integer),
    sqlite_autoincrement=True,
)

# An instance that was chosen for a probe, and its last word on it. `status` is null until it has
# answered. `overflow`: captured hits that were not stored, because the fleet had its max_hits.
statuses: Final = Table(
    "statuses",
    schema,
    Column("probe", Text, ForeignKey("probes.id"), primary_key=True),
    Column("instance", Text, ForeignKey("instances.id"), primary_key=True),
    Column("status", Text),
    Column("is_final", Boolean, nullable=False),
    Column("overflow", Integer, nullable=False),
)

# In order of arrival.
results: Final = Table(
    "results",
    schema,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("probe", Text, ForeignKey("probes.id"), nullable=False),
    Column("instance", Text, ForeignKey("instances.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("result", Text, nullable=False),
    UniqueConstraint("instance", "number"),
    UniqueConstraint("probe", "instance", "sequence"),
    Index("results_by_probe", "probe", "position"),
    sqlite_autoincrement=True,
)

# How often what was captured under each name, added up as results are stored: an answer tells of
# all results of a probe without reading them. In order of first appearance.
value_types: Final = Table(
    "value_types",
    schema,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("probe", Text, ForeignKey("probes.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("is_redacted", Boolean, nullable=False),
    Column("times", Integer, nullable=False),
    UniqueConstraint("probe", "name", "type", "is_redacted"),
)

# The same for the literals of what is not redacted.
value_literals: Final = Table(
    "value_literals",
    schema,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("probe", Text, ForeignKey("probes.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("literal", Text, nullable=False),
    Column("times", Integer, nullable=False),
    UniqueConstraint("probe", "name", "literal"),
)
# The most frequent ones are found without looking at the others.
Index(
    "value_literals_by_times",
    value_literals.c.probe,
    value_literals.c.name,
    value_literals.c.times.desc(),
)

# Asked by any server, put to the agent by the one that holds it. `answer` is null until then.
questions: Final = Table(
    "questions",
    schema,
    Column("id", Text, primary_key=True),
    Column("instance", Text, nullable=False, index=True),
    Column("question", Text, nullable=False),
    Column("asked_ms", Integer, nullable=False),
    Column("answer", Text),
)

# Who did what. Written in the transaction of the act, before it; never changed.
audit: Final = Table(
    "audit",
    schema,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("time_ms", Integer, nullable=False),
    Column("principal", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", Text, nullable=False),
    sqlite_autoincrement=True,
)

for _act in ("UPDATE", "DELETE"):
    event.listen(
        audit,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves this constructor untyped
            f"CREATE TRIGGER audit_no_{_act.lower()} BEFORE {_act} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
        ).execute_if(dialect="sqlite"),
    )
