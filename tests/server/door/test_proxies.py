"""Who the client is, where others stand between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwire.server.door.addresses import parse_address, parse_network
from tickwire.server.door.proxies import (
    FORWARDED,
    X_FORWARDED_FOR,
    BadProxyHeader,
    client_of,
    read_proxy_header,
)

TRUSTED = (parse_network("10.0.0.0/8"), parse_network("fd00::/8"))


def client(peer: str, *said: str, header: str = X_FORWARDED_FOR) -> str:
    return str(client_of(parse_address(peer), said, header, TRUSTED))


@pytest.mark.parametrize(
    ("peer", "said", "found"),
    [
        ("192.0.2.1", ["203.0.113.5"], "192.0.2.1"),  # of somebody else nothing is believed
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.5"], "203.0.113.5"),  # what stands left of it the client may have invented
        ("10.0.0.1", ["6.6.6.6", "203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5, 10.0.0.2"], "203.0.113.5"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["203.0.113.5, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5, <script>, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [",, ,"], "10.0.0.1"),
    ],
)
def test_the_chain_is_read_from_the_right(peer: str, said: list[str], found: str) -> None:
    assert client(peer, *said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("for=203.0.113.5", "203.0.113.5"),
        ('for="[2001:db8::7]:4711";proto=https', "2001:db8::7"),
        ("For=6.6.6.6;by=1.1.1.1, FOR=203.0.113.5;proto=http", "203.0.113.5"),
        ("for=203.0.113.5, for=10.0.0.2;by=10.0.0.1", "203.0.113.5"),
        ("for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ('for="6.6.6.6, for=203.0.113.5', "203.0.113.5"),  # what a proxy puts behind it counts, whatever stands there
        ('by="a, for=6.6.6.6", for=203.0.113.5', "203.0.113.5"),
        ("for=6.6.6.6, ===, for=10.0.0.2", "10.0.0.2"),
    ],
)
def test_forwarded_is_read_as_its_rfc_has_it(said: str, found: str) -> None:
    assert client("10.0.0.1", said, header=FORWARDED) == found


@given(st.text(max_size=80), st.sampled_from([FORWARDED, X_FORWARDED_FOR]))
def test_whatever_is_said_there_is_a_client(said: str, header: str) -> None:
    assert client_of(parse_address("10.0.0.1"), [said], header, TRUSTED) is not None


V2 = bytes.fromhex("0d0a0d0a000d0a515549540a")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n", "203.0.113.5"),
        (b"PROXY TCP6 2001:db8::7 fd00::1 4711 443\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "None"),
        (b"PROXY UNKNOWN what ever\r\n", "None"),
        (V2 + bytes.fromhex("2111000c cb007105 0a000001 1267 01bb"), "203.0.113.5"),
        (V2 + bytes.fromhex("21110013 cb007105 0a000001 1267 01bb 04 0004 00000000"), "203.0.113.5"),
        (
            V2 + bytes.fromhex("21210024" + "20010db8" + "00" * 11 + "07" + "fd" + "00" * 15 + "1267 01bb"),
            "2001:db8::7",
        ),
        (V2 + bytes.fromhex("20000000"), "None"),
    ],
)
def test_a_header_of_the_proxy_protocol_is_read_however_it_is_cut(header: bytes, found: str) -> None:
    for cut in range(len(header)):
        assert read_proxy_header(header[:cut]) is None
    for rest in (b"", b"GET / HTTP/1.1\r\n"):
        size, address = read_proxy_header(header + rest) or (0, None)
        assert (size, str(address)) == (len(header), found)


@pytest.mark.parametrize(
    "wrong",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n",
        b"PROXY TCP6 203.0.113.5 10.0.0.1 1 2\r\n",
        b"PROXY TCP5 203.0.113.5 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.5\r\n",
        b"PROXY " + b"x" * 101,
        V2 + bytes.fromhex("1111000c"),
        V2 + bytes.fromhex("2211000c"),
        V2 + bytes.fromhex("2111ffff"),
        V2 + bytes.fromhex("21110004 cb007105"),
        b"\r\n\r\n\x00\r\nQUIX",
    ],
)
def test_what_is_no_header_is_told(wrong: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        read_proxy_header(wrong)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(V2.__add__) | st.binary(max_size=40).map(b"PROXY ".__add__))
def test_whatever_comes_is_a_header_or_none_or_more_is_awaited(data: bytes) -> None:
    try:
        found = read_proxy_header(data)
    except BadProxyHeader:
        return
    assert found is None or 0 < found[0] <= len(data)
