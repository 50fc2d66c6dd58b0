"""The `mcodec` command: one verb a file."""
