"""Where sections last: implementations of `core.store.Store`. Memory is gone with the process; `disk` outlives it."""
