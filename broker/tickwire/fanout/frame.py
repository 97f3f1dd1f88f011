"""A frame as it leaves: behind its WebSocket header, with one deflated twin for all who can inflate it."""

from __future__ import annotations

import zlib

from tickwire.native import native

_FIN_BINARY, _RSV1 = 0x82, 0x40
_FIN_BINARY_16 = bytes((_FIN_BINARY, 126))
_LIVE_OF_ONE = b"\x93\x15\x00\x91"  # [21, 0, [
_MANY = 4  # sections, from which one call of the library is sooner done than they by themselves
PING = b"\x89\x00"  # RFC 6455 5.5.2, empty
_TAIL = b"\x00\x00\xff\xff"  # RFC 7692 7.2.1: the end of a sync flush is not sent


def websocket_frame(payload: bytes, deflated: bool = False, first: int = _FIN_BINARY) -> bytes:
    """A whole unmasked message (RFC 6455 5.2), binary unless its first byte says something else."""
    first = first | _RSV1 if deflated else first
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def live_frame(section: bytes) -> bytes:
    """The message of a DELIVERY of one section on stream 0: what `join_sections` and `websocket_frame` make of it."""
    length = len(section) + len(_LIVE_OF_ONE)
    if length < 126:
        return b"".join((bytes((_FIN_BINARY, length)), _LIVE_OF_ONE, section))
    if length < 1 << 16:
        return b"".join((_FIN_BINARY_16, length.to_bytes(2, "big"), _LIVE_OF_ONE, section))
    return b"".join((bytes((_FIN_BINARY, 127)), length.to_bytes(8, "big"), _LIVE_OF_ONE, section))


def live_frames(sections: list[bytes]) -> list[bytes]:
    """`live_frame` of each."""
    if native is None or len(sections) < _MANY:
        return [live_frame(section) for section in sections]
    frames: list[bytes] = []
    native.tickwire_live_frames(sections, frames)
    return frames


def close_frame(code: int, reason: bytes) -> bytes:
    """A close (RFC 6455 5.5.1); the reason is at most 123 bytes."""
    return bytes((0x88, 2 + len(reason))) + code.to_bytes(2, "big") + reason


class Deflater:
    """Compresses frames so that each stands alone: any peer whose window is no smaller can inflate it, at any time.

    One zlib stream serves all frames: Z_FULL_FLUSH forgets the window; a new stream would have 260 KiB to clear.
    A window of 15 bits is as fast as it gets: with 12, zlib takes twice the time for a third more bytes on 60 kB of
    ticks (9,911 bytes in 364 us against 8,017 in 169).
    """

    def __init__(self, level: int = 1, window: int = 15, least: int = 512, most: int = 256 << 10) -> None:
        self.window, self.least, self.most = window, least, most
        self._stream = zlib.compressobj(level, zlib.DEFLATED, -window)
        self.calls = 0

    def deflate(self, frame: bytes) -> bytes | None:
        """The frame compressed, or None where that is not worth it."""
        if not self.least <= len(frame) <= self.most:
            return None
        compressed = self.compress(frame)
        return None if len(compressed) >= len(frame) else compressed

    def compress(self, frame: bytes) -> bytes:
        """The frame compressed, whether or not it is shorter then."""
        self.calls += 1
        compressed = self._stream.compress(frame) + self._stream.flush(zlib.Z_FULL_FLUSH)
        return compressed[: -len(_TAIL)]


# The same frames for many peers, ready to write: plain, and for who can inflate. One for each topic of a flush, so that
# it matters that a plain tuple takes a tenth of the time of one with names.
Shared = tuple[bytes, bytes]


def share(frames: list[bytes], deflater: Deflater | None) -> Shared:
    """Frames that leave together, one after another. Each is deflated at most once, whatever the number of readers."""
    plain = b"".join([websocket_frame(frame) for frame in frames])
    if deflater is None:
        return plain, plain
    return plain, b"".join([_smaller(frame, deflater) for frame in frames])


def _smaller(frame: bytes, deflater: Deflater) -> bytes:
    compressed = deflater.deflate(frame)
    return websocket_frame(frame) if compressed is None else websocket_frame(compressed, deflated=True)
