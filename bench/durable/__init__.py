"""What an acknowledgment that survives a power cut costs, here and beside others: `make bench-durable`."""
