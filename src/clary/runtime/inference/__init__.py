"""Answer /ping and /invocations for a model: our own ASGI application on uvicorn."""
