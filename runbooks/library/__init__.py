"""The built-in runbooks, a module each."""
