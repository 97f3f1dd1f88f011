"""Which pages may connect."""

from __future__ import annotations

import pytest

from tickwire.server.door.origins import Origins, check_setting

PAGES = Origins(("https://app.example", "http://localhost:3000", "http://[::1]:3000"))


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        (None, "broker.example", True),  # not a browser
        ("https://app.example", "broker.example", True),
        ("https://app.example:443", "broker.example", True),
        ("HTTPS://APP.EXAMPLE", "broker.example", True),
        ("http://app.example", "broker.example", False),
        ("https://app.example:8443", "broker.example", False),
        ("https://app.example.evil", "broker.example", False),
        ("https://evil.app.example", "broker.example", False),
        ("https://app.example@evil", "broker.example", False),
        ("https://app.example/", "broker.example", False),
        ("null", "broker.example", False),
        ("", "broker.example", False),
        ("file://", "broker.example", False),
        ("http://localhost:3000", "127.0.0.1:8765", True),
        ("http://localhost:3001", "127.0.0.1:8765", False),
        # the broker's own pages, where the name can be nobody else's
        ("http://127.0.0.1:8765", "127.0.0.1:8765", True),
        ("http://[::1]:8765", "[::1]:8765", True),
        ("http://localhost:8765", "localhost:8765", True),
        ("http://127.0.0.1:80", "127.0.0.1", True),
        ("http://127.0.0.1:8766", "127.0.0.1:8765", False),
        ("http://rebound.example:8765", "rebound.example:8765", False),
        ("chrome-extension://127.0.0.1:8765", "127.0.0.1:8765", False),
    ],
)
def test_exactly_those_of_the_list_may(origin: str | None, host: str, may: bool) -> None:
    assert PAGES.allow(origin, host) is may


def test_a_star_is_all_and_null_can_be_named() -> None:
    assert Origins(("*",)).allow("null", "x")
    assert Origins(("null",)).allow("null", "x")
    assert not Origins(()).allow("https://app.example", "x")


@pytest.mark.parametrize(
    "text", ["app.example", "https://app.example/", "https://*.example", "https://a b", "http://a:99999999"]
)
def test_what_is_no_origin_is_no_setting(text: str) -> None:
    if text == "https://*.example":
        check_setting(text)  # a host like any other: no page has it
        return
    with pytest.raises(ValueError, match="must be an origin"):
        check_setting(text)
