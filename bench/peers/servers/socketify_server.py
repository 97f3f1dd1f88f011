"""socketify as a server of topics: uWebSockets from Python, with its own publish and subscribe."""

from __future__ import annotations

import signal
from typing import Any

from asked import arguments
from socketify import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
    App,
    AppListenOptions,
    CompressOptions,
    OpCode,
)

# A reader with more than this unsent is not sent the next message, and nobody is told. The default is 64 KiB, but
# here a message is to reach every reader.
UNSENT_BYTES = 64 << 20
MESSAGE_BYTES = 16 << 20  # as in its examples; the default is 16 KiB


def serve(port: int, compress: bool) -> None:
    app = App()

    def publish(_ws: Any, message: bytes, opcode: OpCode) -> None:
        app.publish(str(int.from_bytes(message[-4:])), message, opcode, compress)

    behavior = {
        "compression": CompressOptions.SHARED_COMPRESSOR if compress else CompressOptions.DISABLED,
        "max_payload_length": MESSAGE_BYTES,
        "max_backpressure": UNSENT_BYTES,
        # Its documentation says that it sends pings, and readers say nothing else; its default is not to.
        "send_pings_automatically": True,
        "upgrade": upgrade,
        "open": subscribe,
        "message": publish,
    }
    app.ws("/ws", behavior)
    signal.signal(signal.SIGTERM, lambda *_: app.close())
    app.listen(AppListenOptions(port=port, host="127.0.0.1"), announce)
    app.run()


def upgrade(response: Any, request: Any, context: Any) -> None:
    """Keep the topics of a connection with it: the query is gone once it is open."""
    topics = [] if request.get_query("publish") else (request.get_query("topics") or "0").split(",")
    key = request.get_header("sec-websocket-key")
    protocol = request.get_header("sec-websocket-protocol")
    extensions = request.get_header("sec-websocket-extensions")
    response.upgrade(key, protocol, extensions, context, topics)


def subscribe(ws: Any) -> None:
    for topic in ws.get_user_data():
        ws.subscribe(topic)


def announce(config: AppListenOptions) -> None:
    print(f"listening on ws://127.0.0.1:{config.port}/ws", flush=True)


def main() -> None:
    asked = arguments(__doc__)
    serve(asked.port, asked.compress)


if __name__ == "__main__":
    main()
