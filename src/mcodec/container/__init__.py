"""The `.mc` file: header, manifest, rows, reader, writer (spec/container.md)."""
