"""Where sections last: implementations of `core.store.Store`. Memory, for now: gone with the process."""
