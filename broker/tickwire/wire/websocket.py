"""The frames of a WebSocket, read as RFC 6455 and RFC 7692 have them and no other way.

Whoever is lenient here is so towards those who probe for it: what two readers of the same bytes take for different
things is how requests are smuggled. Sans-IO: bytes in, messages out, or Broken.
"""

from __future__ import annotations

import codecs
import zlib
from typing import Any

from .errors import TickwireError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG, POLICY = 1002, 1007, 1009, 1008

_FIN, _RSV1, _RSV2_3, _OPCODE, _MASKED, _LENGTH = 0x80, 0x40, 0x30, 0x0F, 0x80, 0x7F
_CONTROL = 0x8  # this bit of an opcode says that the frame is one
_CONTROL_BYTES = 125
_OPCODES = {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}
# RFC 6455 7.4 and the registry of IANA: those that an endpoint may send. 1004 to 1006 and 1015 never stand in a frame.
_CLOSE_CODES = {1000, 1001, 1002, 1003, *range(1007, 1015)}
# A message in more pieces than 64 bytes each would make of the largest frame: to be sent byte by byte costs the reader
# far more than the writer.
FRAGMENTS = 16_384
_MEMBERS = 64  # deflate blocks of one message that say that they are the last (RFC 7692 7.2.3.4)
_TAIL = b"\x00\x00\xff\xff"  # RFC 7692 7.2.2
_RATIO_FROM = 64 << 10  # inflated bytes, from which on their ratio to the deflated ones counts

Message = tuple[int, Any]  # opcode and what it says: bytes; of a CLOSE (code, reason), where 0 is none


class Broken(TickwireError):
    """The peer broke the rules of the WebSocket, or one of our limits. `closes` is the close code for that."""

    def __init__(self, closes: int, text: str) -> None:
        self.closes, self.text = closes, text
        super().__init__(text)


class Reader:
    """One direction of a connection. `limit` is the most bytes of a message, before it is inflated and after.

    `masked` says whether frames must be, as those to a server; else they must not. `deflates` whether
    permessage-deflate was negotiated. A message that inflates to more than 64 KiB must not be more than `ratio` times
    as long as it was.
    """

    __slots__ = (
        "_compressed", "_deflates", "_inflater", "_limit", "_masked", "_opcode", "_pieces", "_ratio", "_size", "_utf8",
        "inflated", "needed"
    )  # fmt: skip

    def __init__(self, limit: int, *, masked: bool, deflates: bool, ratio: float = 0.0) -> None:
        self.needed = 0  # bytes that must be there, where `read` found a frame that is not whole
        self.inflated = 0  # bytes that the last `read` had to inflate
        self._limit, self._masked, self._deflates, self._ratio = limit, masked, deflates, ratio
        # The message that has begun, and not ended.
        self._opcode = CONTINUATION
        self._compressed = False
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._utf8: Any = None
        self._inflater: Any = None

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun that has not ended."""
        return self._pieces is not None

    @property
    def held(self) -> int:
        """Bytes of that message that are here."""
        return self._size

    def inflates(self, data: bytes, at: int) -> bool:
        """Whether the frame that begins there is of a message that is to be inflated."""
        return bool(data[at] & _RSV1) or (self._pieces is not None and self._compressed)

    def read(self, data: bytes, at: int) -> tuple[int, Message | None]:
        """Take the frame that begins there: where the next one does, and the message that is whole with it, if one is.

        Where it is not whole, nothing is taken, and `needed` says how many bytes of it must be there to get further.
        Raises Broken, after which nothing more is to be read.
        """
        there = len(data) - at
        self.needed, self.inflated = 2, 0
        if there < 2:
            return at, None
        first, second = data[at], data[at + 1]
        opcode, length, header = first & _OPCODE, second & _LENGTH, 2
        self._check(first, second, opcode, length)
        if length > _CONTROL_BYTES:
            header = 4 if length == 126 else 10
            self.needed = header
            if there < header:
                return at, None
            length = _long(int.from_bytes(data[at + 2 : at + header], "big"), header)
        if opcode < _CONTROL and self._size + length > self._limit:
            raise Broken(
                TOO_BIG, f"a message of {self._size + length} bytes or more exceeds the limit of {self._limit}"
            )
        start = at + header + (4 if self._masked else 0)
        end = start + length
        self.needed = end - at
        if there < self.needed:
            return at, None
        payload = data[start:end]
        if self._masked:
            payload = unmasked(payload, data[start - 4 : start])
        if opcode >= _CONTROL:
            return end, (opcode, _close(payload) if opcode == CLOSE else payload)
        return end, self._piece(first, opcode, payload)

    def _check(self, first: int, second: int, opcode: int, length: int) -> None:
        """The two bytes that every frame begins with."""
        if bool(second & _MASKED) is not self._masked:
            raise Broken(PROTOCOL_ERROR, f"a frame came that is {'not ' if self._masked else ''}masked")
        if opcode not in _OPCODES:
            raise Broken(PROTOCOL_ERROR, f"there is no opcode {opcode}")
        if first & _RSV2_3:
            raise Broken(PROTOCOL_ERROR, "a reserved bit is set that nobody has asked for")
        if opcode >= _CONTROL:
            if not first & _FIN:
                raise Broken(PROTOCOL_ERROR, "a control frame came in fragments")
            if length > _CONTROL_BYTES:
                raise Broken(PROTOCOL_ERROR, f"a control frame is longer than {_CONTROL_BYTES} bytes")
        elif (opcode == CONTINUATION) is (self._pieces is None):
            said = "there is nothing to continue" if self._pieces is None else "the last message has not ended"
            raise Broken(PROTOCOL_ERROR, f"a frame of opcode {opcode} came, but {said}")
        if first & _RSV1 and (not self._deflates or opcode not in (TEXT, BINARY)):
            raise Broken(PROTOCOL_ERROR, "a frame says that it is compressed that may not be")

    def _piece(self, first: int, opcode: int, payload: bytes) -> Message | None:
        """The next of a message, perhaps the only one."""
        if opcode != CONTINUATION:
            self._opcode, self._compressed = opcode, bool(first & _RSV1)
            if first & _FIN:
                return self._whole(payload)
            self._pieces = []
        assert self._pieces is not None
        self._pieces.append(payload)
        self._size += len(payload)
        if len(self._pieces) > FRAGMENTS:
            raise Broken(POLICY, f"a message came in more than {FRAGMENTS} fragments")
        if self._opcode == TEXT and not self._compressed:
            self._decode(payload, final=bool(first & _FIN))  # who sends no text is told at the first byte that is none
        if not first & _FIN:
            return None
        pieces, self._pieces, self._size = self._pieces, None, 0
        return self._whole(b"".join(pieces), decoded=True)

    def _whole(self, payload: bytes, decoded: bool = False) -> Message:
        if self._compressed:
            payload, decoded = self._inflate(payload), False
        if self._opcode == TEXT and not decoded:
            self._decode(payload, final=True)
        return self._opcode, payload

    def _decode(self, payload: bytes, final: bool) -> None:
        if self._utf8 is None:
            self._utf8 = codecs.getincrementaldecoder("utf-8")()
        try:
            self._utf8.decode(payload, final)
        except UnicodeDecodeError:
            raise Broken(INVALID_DATA, "a text is not UTF-8") from None

    def _inflate(self, payload: bytes) -> bytes:
        """The message as it was, whatever it says it is: never more than the limit is made."""
        limit = self._limit
        if self._ratio:
            limit = min(limit, max(_RATIO_FROM, int(len(payload) * self._ratio)))
        left, inflated = payload + _TAIL, bytearray()
        for _ in range(_MEMBERS):
            if self._inflater is None:
                self._inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            try:
                inflated += self._inflater.decompress(left, limit + 1 - len(inflated))
            except zlib.error:
                raise Broken(INVALID_DATA, "a message says that it is compressed, and cannot be inflated") from None
            if len(inflated) > limit or self._inflater.unconsumed_tail:
                raise self._too_big(len(payload), limit)
            self.inflated = len(inflated)
            if not self._inflater.eof:
                return bytes(inflated)
            left, self._inflater = self._inflater.unused_data, None  # a block said that it was the last
            if left in (b"", _TAIL, b"\x00" + _TAIL):
                return bytes(inflated)
        raise Broken(POLICY, f"a compressed message has more than {_MEMBERS} last blocks")

    def _too_big(self, deflated: int, limit: int) -> Broken:
        if limit < self._limit:
            said = f"more than {self._ratio:g} times its {deflated} bytes"
            return Broken(TOO_BIG, f"a message inflates to {said}, which is the limit")
        return Broken(TOO_BIG, f"a message inflates to more than the limit of {limit} bytes")


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """RFC 6455 5.3. As one large number: 3 us for 4 KiB."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


def _long(length: int, header: int) -> int:
    """A length that is said in two or eight bytes."""
    if length >> 63:
        raise Broken(PROTOCOL_ERROR, "the first bit of a length is set")
    if length <= _CONTROL_BYTES or (header == 10 and length < 1 << 16):
        raise Broken(PROTOCOL_ERROR, f"a length of {length} is said in more bytes than it takes")
    return length


def _close(payload: bytes) -> tuple[int, str]:
    """What a CLOSE says (RFC 6455 5.5.1)."""
    if not payload:
        return 0, ""
    if len(payload) == 1:
        raise Broken(PROTOCOL_ERROR, "a close has one byte, which is no code")
    code = int.from_bytes(payload[:2], "big")
    if code not in _CLOSE_CODES and not 3000 <= code < 5000:
        raise Broken(PROTOCOL_ERROR, f"a close has the code {code}, which nobody may send")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise Broken(INVALID_DATA, "the reason of a close is not UTF-8") from None
