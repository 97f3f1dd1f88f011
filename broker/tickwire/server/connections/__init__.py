"""Whoever is connected: from the socket that listens to the frames of one peer, and the signs of life of all."""
