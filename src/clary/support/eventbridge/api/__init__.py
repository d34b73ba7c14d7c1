"""The operations of EventBridge and of EventBridge Scheduler."""
