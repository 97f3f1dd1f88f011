"""A client written from the protocol page alone, beside a real broker."""
