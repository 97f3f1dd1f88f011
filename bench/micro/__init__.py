"""The hot paths by themselves: how long they take, by pytest-benchmark, and how many instructions, in two commits."""
