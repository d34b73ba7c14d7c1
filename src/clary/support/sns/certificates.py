"""An RSA key and a certificate that it signed for itself, in DER: enough of both for who checks SNS's signatures.

The public-key library at hand signs but makes no RSA keys, so the primes are found here (FIPS 186-5, A.1.3) and the
structures (RFC 8017, RFC 5280) written out.
"""

import hashlib
import secrets
import time
from math import gcd

_EXPONENT = 65537
_ROUNDS = 40
_SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))]
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d0101010500")
_SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b0500")
_COMMON_NAME = bytes.fromhex("0603550403")
_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def new_key_and_certificate(name: str, now: float, years: int, bits: int = 2048) -> tuple[bytes, bytes]:
    """A private key (PKCS #1) and its certificate (X.509), both in DER."""
    p, q = _prime(bits // 2), _prime(bits // 2)
    n, d = p * q, pow(_EXPONENT, -1, (p - 1) * (q - 1))
    numbers = (0, n, _EXPONENT, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return _sequence(*map(_integer, numbers)), _certificate(name, now, years, n, d)


def _prime(bits: int) -> int:
    while True:
        candidate = secrets.randbits(bits) | (0b11 << (bits - 2)) | 1
        if (
            all(candidate % prime for prime in _SMALL_PRIMES)
            and gcd(candidate - 1, _EXPONENT) == 1
            and _is_prime(candidate)
        ):
            return candidate


def _is_prime(candidate: int) -> bool:
    """Miller and Rabin's test: a composite passes with a chance of less than 4 ** -_ROUNDS."""
    twos = ((candidate - 1) & -(candidate - 1)).bit_length() - 1
    odd = (candidate - 1) >> twos
    for _ in range(_ROUNDS):
        x = pow(2 + secrets.randbelow(candidate - 3), odd, candidate)
        if x in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % candidate
            if x == candidate - 1:
                break
        else:
            return False
    return True


def _certificate(name: str, now: float, years: int, n: int, d: int) -> bytes:
    who = _sequence(_tagged(0x31, _sequence(_COMMON_NAME, _tagged(0x0C, name.encode()))))
    key = _sequence(_integer(n), _integer(_EXPONENT))
    body = _sequence(
        _tagged(0xA0, _integer(2)),
        _integer(secrets.randbits(127) | 1),
        _sequence(_SHA256_WITH_RSA),
        who,
        _sequence(_time(now), _time(now + years * 365.25 * 86_400)),
        who,
        _sequence(_sequence(_RSA_ENCRYPTION), _tagged(0x03, b"\0" + key)),
    )
    return _sequence(body, _sequence(_SHA256_WITH_RSA), _tagged(0x03, b"\0" + _signature(body, n, d)))


def _signature(body: bytes, n: int, d: int) -> bytes:
    size = (n.bit_length() + 7) // 8
    digest = _SHA256_DIGEST_INFO + hashlib.sha256(body).digest()
    padded = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
    return pow(int.from_bytes(padded, "big"), d, n).to_bytes(size, "big")


def _time(at: float) -> bytes:
    parts = time.gmtime(at)
    if parts.tm_year < 2050:  # RFC 5280, 4.1.2.5
        return _tagged(0x17, time.strftime("%y%m%d%H%M%SZ", parts).encode())
    return _tagged(0x18, time.strftime("%Y%m%d%H%M%SZ", parts).encode())


def _integer(value: int) -> bytes:
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _sequence(*parts: bytes) -> bytes:
    return _tagged(0x30, b"".join(parts))


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
