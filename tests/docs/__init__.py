"""What the README, the docs and the examples say is run as it stands there."""
