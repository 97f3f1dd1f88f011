"""Every frame of the vectors decodes to what stands beside it, and is encoded to the same bytes."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from tickwire.wire.decode import decode, decode_from_broker, decode_from_client
from tickwire.wire.encode import array_header, encode, encode_runs, encode_section, join_sections
from tickwire.wire.messages import KIND_NAMES, Delivery, FromBroker, FromClient, Message, Publish, Section
from tickwire.wire.view import from_json, to_json

from .vectors import Vector, load, parameters, to_bytes

FRAMES: list[Vector] = load("frames.json")
KNOWN = [vector for vector in FRAMES if vector["json"] is not None]


@pytest.mark.parametrize("vector", parameters(KNOWN, "client", "both"))
def test_a_clients_frame_means_what_stands_beside_it(vector: Vector) -> None:
    message = decode_from_client(to_bytes(vector["hex"]))

    assert to_json(message) == vector["json"]


@pytest.mark.parametrize("vector", parameters(KNOWN, "broker", "both"))
def test_a_brokers_frame_means_what_stands_beside_it(vector: Vector) -> None:
    message = decode_from_broker(to_bytes(vector["hex"]))

    assert message is not None
    assert to_json(message) == vector["json"]


@pytest.mark.parametrize("vector", parameters(FRAMES, "broker"))
def test_a_client_ignores_only_the_kinds_it_does_not_know(vector: Vector) -> None:
    message = decode_from_broker(to_bytes(vector["hex"]))

    assert (message is None) == (vector["json"] is None)


@pytest.mark.parametrize("vector", parameters(KNOWN, "client", "broker", "both"))
def test_a_message_is_encoded_to_the_bytes_of_its_vector(vector: Vector) -> None:
    message = from_json(vector["json"])

    assert (encode(message) == to_bytes(vector["hex"])) == vector["canonical"]
    assert decode(encode(message)) == message


@pytest.mark.parametrize("vector", parameters(KNOWN, "client", "broker", "both"))
def test_a_tool_decodes_what_either_side_sends(vector: Vector) -> None:
    assert to_json(decode(to_bytes(vector["hex"]))) == vector["json"]


@pytest.mark.parametrize(
    "vector", parameters([vector for vector in KNOWN if vector["json"]["kind"] == "delivery"], "broker")
)
def test_sections_that_are_encoded_already_join_to_the_same_delivery(vector: Vector) -> None:
    delivery = from_json(vector["json"])
    assert isinstance(delivery, Delivery)
    if not vector["canonical"] or any(section.epoch is not None for section in delivery.sections):
        return  # the broker encodes no section of an epoch that is not its own

    assert join_sections(delivery.stream, [_fragment(section) for section in delivery.sections]) == to_bytes(
        vector["hex"]
    )


@pytest.mark.parametrize(
    "vector", parameters([vector for vector in KNOWN if vector["json"]["kind"] == "publish"], "client")
)
def test_runs_that_are_lists_already_give_the_same_publish(vector: Vector) -> None:
    publish = from_json(vector["json"])
    assert isinstance(publish, Publish)

    runs = [[run.topic, run.payloads, *([{"format": run.format}] if run.format else [])] for run in publish.runs]

    assert encode_runs(publish.id, runs, publish.sequence, publish.retry) == encode(publish)


@pytest.mark.parametrize(
    ("length", "header"),
    [(0, "90"), (15, "9f"), (16, "dc0010"), (65535, "dcffff"), (65536, "dd00010000")],
)
def test_the_header_of_an_array_is_the_shortest(length: int, header: str) -> None:
    assert array_header(length).hex() == header


def test_every_kind_has_vectors_with_all_its_fields_and_with_an_unknown_trailing_element() -> None:
    sides = {"client": typing.get_args(FromClient), "broker": typing.get_args(FromBroker)}
    missing = []
    for side, classes in sides.items():
        for cls in classes:
            name = KIND_NAMES[cls.kind].lower()
            views = [(v["name"], v["json"]) for v in KNOWN if v["json"]["kind"] == name and v["from"] in (side, "both")]
            missing += [
                (side, name, field.name)
                for field in dataclasses.fields(cls)
                if not any(view[field.name] not in (None, []) for _, view in views)
            ]
            if not any("unknown trailing element" in title for title, _ in views):
                missing.append((side, name, "an unknown trailing element"))
    assert missing == []


def test_every_message_has_its_own_kind() -> None:
    classes = typing.get_args(Message)

    assert sorted(cls.kind for cls in classes) == sorted(KIND_NAMES)


def _fragment(section: Section) -> bytes:
    place = (section.topic, section.first, section.stamp, section.time_us)
    return encode_section(*place, section.payloads, section.format, section.attempt or 1)
