"""Other people's model files, read lazily and written back: one format a module."""
