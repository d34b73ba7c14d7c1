"""Commands that a request gives in place of its image's own, and what they expect of AWS's images beyond a Python."""
