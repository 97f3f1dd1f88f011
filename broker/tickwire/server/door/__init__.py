"""The door: who may come in, before anything of theirs is acted on."""
