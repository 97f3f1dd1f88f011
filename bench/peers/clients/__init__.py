"""What others' Python clients do when their users publish and read, as their own documentation shows it.

Each file is a reader and a publisher of 64-byte msgpack messages, encoded and decoded one by one. The publisher is told
by the reader how far it is, through the broker, and stays as far ahead and no further.
"""
