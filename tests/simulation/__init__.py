"""Whole histories, each from one seed: the real engine, stores and sessions on a fake clock, fake links, a fake disk.

`python -m simulation` runs thousands of them (from `tests/`); a seed that fails is printed, and fails again when it is
given with `--seed`. With `--plant` a bug is put in that they must find.
"""
