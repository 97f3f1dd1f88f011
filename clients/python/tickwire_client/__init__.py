"""Tickwire client."""
