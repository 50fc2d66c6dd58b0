"""What people do to the command: every run ends with the right code, one line, and no litter."""
