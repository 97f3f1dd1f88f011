"""The demo: real prices through a broker to many readers, each of them checked.

`replay` is the data, `publisher` sends it, `readers` and `broker` are processes of their own, `crowd` is the readers
seen from here, `proof` compares what came with what went, `screen` shows it, and `run` puts them together.
"""
