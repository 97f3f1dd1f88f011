"""Bounds that are part of the protocol, whatever a broker's settings are."""

SUBPROTOCOL = "tickwire.v1"
VERSION = 1
MAX_INT = (1 << 53) - 1  # the largest integer that a JavaScript number holds exactly

TOPIC_BYTES = 255
TOPIC_LEVELS = 16

PAYLOAD_BYTES = 1_000_000
FRAME_BYTES = 1 << 20
FRAME_MESSAGES = 8_192
DELIVERY_BYTES = 1 << 20
HELLO_BYTES = 16 << 10

POSITIONS = 8_192  # in one SUBSCRIBE that resumes
RANGES = 4_096  # in one CONSUMED or RETURNED: 8,192, scattered over a ledger, took 18 ms
NAME_BYTES = 64  # of a publisher, or of a consumer group

MSGPACK, BYTES = 0, 1  # the format of payloads
