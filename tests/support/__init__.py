"""What several suites share: edge cases, strategies, an independent formula, forged files."""
