"""A broker without a machine: the real engine and sessions, joined to clients by links made of lists."""
