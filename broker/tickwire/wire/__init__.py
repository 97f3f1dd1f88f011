"""Messages to bytes and back. Pure: no sockets, no clock, no asyncio. PROTOCOL.md beside this file is the law."""
