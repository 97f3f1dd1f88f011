"""`tickwire consumers`: who works on what, and how far behind."""

from __future__ import annotations

import json

from tickwire_client.sync import connect

from .shell import broker, tickwire


def test_a_broker_without_groups_says_so() -> None:
    with broker() as (_, url):
        table = tickwire("consumers", "--url", url)
        lines = tickwire("consumers", "--json", "--url", url)

    assert (table.code, table.out, table.err) == (0, "", "tickwire: there are no consumer groups\n")
    assert (lines.code, lines.out, lines.err) == (0, "", "")


def test_each_group_is_shown_with_its_members_and_its_lag() -> None:
    with broker() as (_, url), connect(url) as client:
        for n in range(12):
            client.publish("orders.eu", n)
        with (
            client.consume("orders.>", group="billing", max_unacked=10) as billing,
            client.consume("orders.eu", group="audit", max_unacked=1_000) as audit,
        ):
            next(iter(billing)).ack()
            next(iter(audit))
            client.flush()

            lines = tickwire("consumers", "--json", "--url", url)
            table = tickwire("consumers", "--url", url)

    audit_facts, billing_facts = map(json.loads, lines.out.splitlines())
    assert audit_facts == {"group": "audit", "pattern": "orders.eu", "members": 1, "lag": 12, "unacked": 1}
    assert billing_facts == {"group": "billing", "pattern": "orders.>", "members": 1, "lag": 11, "unacked": 1}
    assert table.out.split("\n")[0].split() == ["group", "pattern", "members", "lag", "unacked"]
    assert [line.split()[:3] for line in table.out.splitlines()[1:]] == [
        ["audit", "orders.eu", "1"],
        ["billing", "orders.>", "1"],
    ]


def test_a_broker_that_does_not_answer_is_told() -> None:
    ended = tickwire("consumers", "--url", "ws://127.0.0.1:9")

    assert ended.code == 1
    assert ended.err.startswith("tickwire: cannot connect to ws://127.0.0.1:9/ws")
