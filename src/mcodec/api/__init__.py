"""What the command line and integrations call: one verb a file."""
