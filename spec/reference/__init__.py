"""The format in plain Python; ../reference_decoder.py is the door and says more."""
