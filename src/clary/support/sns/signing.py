"""Signatures by which a receiver knows that a message came from this server, and the certificate to check them by.

Source: "Verifying the signatures of Amazon SNS messages" of the SNS developer guide.
"""

import base64
import hashlib
import textwrap
from collections.abc import Mapping
from functools import lru_cache

from awscrt.crypto import RSA, RSASignatureAlgorithm  # type: ignore[import-untyped]

from clary.kernel.rooms import Platform
from clary.kernel.store import AlreadyExists
from clary.support.sns.certificates import new_key_and_certificate
from clary.support.sns.records import NOTIFICATION, SigningKey

CERTIFICATE_PATH = "sns/SimpleNotificationService.pem"
_NAME = "sns"
_COMMON_NAME = "sns.clary"
_YEARS = 20
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_ALGORITHMS = {
    "1": (hashlib.sha1, RSASignatureAlgorithm.PKCS1_5_SHA1),
    "2": (hashlib.sha256, RSASignatureAlgorithm.PKCS1_5_SHA256),
}


def signature(platform: Platform, document: Mapping[str, str], version: str) -> str:
    """The signature of a document to be delivered, in base64."""
    names = _SIGNED if document["Type"] == NOTIFICATION else _SIGNED_CONFIRMATION
    text = "".join(f"{name}\n{document[name]}\n" for name in names if name in document)
    digest, algorithm = _ALGORITHMS[version]
    key = _private_key(signing_key(platform).private)
    return base64.b64encode(key.sign(algorithm, digest(text.encode()).digest())).decode()


def signing_key(platform: Platform) -> SigningKey:
    """The key of this home, made when first asked for."""
    table = platform.records(SigningKey)
    found = table.get(_NAME)
    if found is None:
        private, certificate = new_key_and_certificate(_COMMON_NAME, platform.clock.now(), _YEARS)
        key = SigningKey(base64.b64encode(private).decode(), _pem(certificate))
        try:
            found = table.create(_NAME, key)
        except AlreadyExists:
            found = table.get(_NAME)
    assert found is not None
    return found.value


@lru_cache(maxsize=4)
def _private_key(private: str) -> RSA:
    return RSA.new_private_key_from_der_data(base64.b64decode(private))


def _pem(certificate: bytes) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(certificate).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
