"""Numbers to streams and back: one codec a file (spec/codecs/)."""
