"""The proof of the delivery contract: what clients record, what decides over it, and the run that breaks the broker."""
