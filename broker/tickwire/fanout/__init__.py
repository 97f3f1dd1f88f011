"""How the bytes leave: sections encoded once, logs, shared frames, catching up. No sockets, no clock."""
