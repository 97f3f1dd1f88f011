"""Every malformed frame of the vectors is refused with its code and a sentence that names what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tickwire.wire.codes import CODES
from tickwire.wire.decode import decode_from_broker, decode_from_client
from tickwire.wire.errors import WireError
from tickwire.wire.messages import Message

from .vectors import Vector, load, parameters, to_bytes

MALFORMED: list[Vector] = load("malformed.json")


@pytest.mark.parametrize("vector", parameters(MALFORMED, "client", "both"))
def test_a_clients_malformed_frame_is_refused_by_name(vector: Vector) -> None:
    _is_refused(vector, decode_from_client)


@pytest.mark.parametrize("vector", parameters(MALFORMED, "broker", "both"))
def test_a_brokers_malformed_frame_is_refused_by_name(vector: Vector) -> None:
    _is_refused(vector, decode_from_broker)


def test_every_code_of_the_vectors_is_registered() -> None:
    assert {vector["code"] for vector in MALFORMED} == {"bad_frame", "bad_field", "unknown_kind"} <= CODES.keys()


def _is_refused(vector: Vector, decode: Callable[[bytes], Message | None]) -> None:
    with pytest.raises(WireError) as refused:
        decode(to_bytes(vector["hex"]))

    error = refused.value
    assert (error.code, error.kind, error.id) == (vector["code"], vector["kind"], vector["id"])
    assert vector["names"] in error.text
    assert error.text.isprintable()
    assert len(error.text) < 200
