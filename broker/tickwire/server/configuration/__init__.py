"""What an operator may say: the settings, where they come from, and what they mean to the rooms below."""
