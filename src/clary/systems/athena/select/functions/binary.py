"""Functions of bytes: hashes and encodings."""

from clary.systems.athena.select.functions.calls import Handler

SIGNATURES = """
    to_utf8(varchar) -> varbinary: encode({0})
    from_utf8(varbinary) -> varchar: decode({0})
    to_hex(varbinary) -> varchar: hex({0})
    from_hex(varchar) -> varbinary: unhex({0})
    from_hex(varbinary) -> varbinary: unhex(decode({0}))
    to_base64(varbinary) -> varchar: to_base64({0})
    from_base64(varchar) -> varbinary: from_base64({0})
    from_base64(varbinary) -> varbinary: from_base64(decode({0}))
    to_base64url(varbinary) -> varchar: replace(replace(to_base64({0}), '+', '-'), '/', '_')
    from_base64url(varchar) -> varbinary: from_base64(replace(replace({0}, '-', '+'), '_', '/'))
    md5(varbinary) -> varbinary: unhex(md5({0}))
    sha1(varbinary) -> varbinary: unhex(sha1({0}))
    sha256(varbinary) -> varbinary: unhex(sha256({0}))
    sha512(varbinary) -> varbinary: trino_sha512({0})
    crc32(varbinary) -> bigint: trino_crc32({0})
    xxhash64(varbinary) -> varbinary: trino_xxhash64({0})
    murmur3(varbinary) -> varbinary: trino_murmur3({0})
    hmac_md5(varbinary, varbinary) -> varbinary: trino_hmac_md5({0}, {1})
    hmac_sha1(varbinary, varbinary) -> varbinary: trino_hmac_sha1({0}, {1})
    hmac_sha256(varbinary, varbinary) -> varbinary: trino_hmac_sha256({0}, {1})
    hmac_sha512(varbinary, varbinary) -> varbinary: trino_hmac_sha512({0}, {1})
    to_big_endian_64(bigint) -> varbinary: unhex(trino_hex_of({0}, 16))
    to_big_endian_32(integer) -> varbinary: unhex(trino_hex_of({0}, 8))
"""
HANDLERS: dict[str, Handler] = {}
