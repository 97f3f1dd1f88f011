"""Who gets what: subscriptions, sessions, limits, acknowledgments, the engine. No sockets, no clock."""
