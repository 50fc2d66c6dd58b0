"""Model files through the command, from any format into any other and back."""
