"""The operations of this room: models, endpoint configurations, endpoints, and invocations of them."""
