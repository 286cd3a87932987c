from __future__ import annotations

import asyncio

from mcp_server.registry import Link, Registry, Renew


def link(instance: str = "i-1") -> Link:
    return Link(instance, frozenset(), 0.0)


def test_a_newer_stream_of_an_instance_closes_the_older_one() -> None:
    registry, older, newer = Registry(), link(), link()
    registry.attach(older)
    registry.attach(newer)
    assert older.closed.is_set()
    assert not registry.detach(older), "the newer one keeps its place"
    assert registry.detach(newer)


def test_nothing_is_sent_before_the_store_knows_the_instance() -> None:
    registry, one = Registry(), link()
    registry.attach(one)
    assert registry.links == ()
    one.is_known = True
    assert registry.links == (one,)


def test_an_agent_that_leaves_its_orders_unread_is_closed() -> None:
    one = link()
    for _ in range(1000):
        one.send(Renew())
    assert not one.closed.is_set()
    one.send(Renew())
    assert one.closed.is_set()


def test_orders_come_out_in_the_order_they_went_in() -> None:
    one, first, second = link(), Renew(), Renew()
    one.send(first)
    one.send(second)

    async def both() -> tuple[object, object]:
        return await one.next_order(), await one.next_order()

    out = asyncio.run(both())
    assert (out[0] is first, out[1] is second) == (True, True)
