"""The Python SDK under load: programs that print one line of JSON."""
