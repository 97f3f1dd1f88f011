"""The bytes: vectors, properties and bounds of the protocol."""
