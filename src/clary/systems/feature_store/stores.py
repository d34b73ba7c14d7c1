"""The online store of a platform, with the offline log as its journal."""

from clary.kernel.core.errors import AwsError
from clary.kernel.kv import KeyValue
from clary.kernel.online import OnlineStore, OnlineStoreError, open_online
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.systems.feature_store import offline_log


def log_of(platform: Platform) -> KeyValue:
    """The domain in which the offline log lies."""
    return platform.kv(offline_log.DOMAIN)


def _open(platform: Platform) -> OnlineStore:
    url = platform.settings.online_store_url
    return open_online(log_of(platform), platform.clock, offline_log.append, url)


store_of = OnePerPlatform(_open, lambda store: store.close())


def unavailable(error: OnlineStoreError) -> AwsError:
    """What a client is told when the online store cannot be reached: it may try again."""
    return AwsError("ServiceUnavailable", f"The online store is not available: {error}", status=503)
