"""The vectors of `spec/vectors`, built byte by byte from the pages of `spec/` alone.

`writer` makes a file, `models` codes and decodes runs by formulas of its own (a search among all
numbers of a dtype, where the reference decoder rounds integers), and the other modules list the
cases. Nothing here imports mcodec.
"""
