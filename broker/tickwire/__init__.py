"""Tickwire: a binary message broker for backends that push.

wire says what the bytes are, fanout how they leave, core who gets them, store where they last, server where they come
from.

One publish through the house: `server.connections.connection` takes a frame off its WebSocket; `wire.decode` reads the
envelope (`wire.in_place` where the payloads are large: they stay in the frame); `core.session` has it checked and
appended to a topic's pending run (`core.publishing`); two turns of the loop later `core.engine` flushes: each touched
topic becomes a section (`fanout.section`), encoded once, stored first where there is a disk (`core.pipeline`) and kept
in its log (`fanout.log`), the sections of one audience become one frame (`fanout.frame`), and `fanout.deliver` writes
it to every peer that keeps up.
"""

__version__ = "0.1.0"
