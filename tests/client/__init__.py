"""The Python client: its session alone, its shell against a broker that follows a script, and against a real one."""
