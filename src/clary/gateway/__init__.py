"""The gateway: parse, authenticate, validate, dispatch, serialise. Everything a client says passes through here."""
