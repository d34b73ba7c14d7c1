"""Who is asking, and may they: keys, signatures, policies.

What the gateway calls, in order. `request` is anything with `method: str`, `path: str` (raw, as on the wire, no
query), `query: str` (raw), `headers: Mapping[str, str]` (lower-case names; repeated ones joined by a comma):

    signatures.peek_scope(request) -> Scope | None
        Before routing; checks nothing. None: the request is not signed (anonymous).
        Scope(access_key, region, service, kind); kind is "header", "query", "v2-header" or "v2-query".
        Signature version 2 names no region and no service: region is "" and service "s3".
        Raises AwsError when an Authorization header or query is there but malformed.

    signatures.find_key(scope, find_credential) -> Credential
        Before a body is read that may be large: raises for a key that nobody has. It proves nothing yet.

    signatures.verify(request, scope, find_credential, *, now, body=None, style=None, skew_seconds=900.0) -> Identity
        `find_credential(access_key) -> Credential | None` is `platform.keys.find`. `body` is the whole body (b"" for
        none), already read, for every service but S3; pass None for S3, whose body is checked while it is read.
        `style` picks how errors are spelled: "s3", "query", "json" (JSON 1.x, CBOR) or "rest" (rest-json); by default
        the scope's service decides. Raises AwsError.
        Identity(credential, scope, body): `identity.credential.principal` is the Principal.

    payload.decoded(identity, request, chunks, *, checksums={}) -> AsyncIterator[bytes]
        For S3: the body with aws-chunked framing taken off. Checks hash, chunk signatures, trailer, lengths and (for
        the algorithms in `checksums`: name -> constructor of an object with update() and digest()) the trailing
        checksum, and raises AwsError at the end of a body that fails: commit nothing before the iterator ends.
        `payload.decoded_length(request) -> int | None` is the length without framing.

    policies.require(principal, operation, resource: Callable[[], str], context={}) -> None
        Raises AccessDenied; free for whoever has no `permissions` (the root, the default pair).
    policies.authorize(principal, action, resource, context={}) -> Decision; `decision.allowed`, .outcome, .matched
    policies.trusts(document, principal, "sts:AssumeRole") -> Decision
    policies.trusts_service(document, "sagemaker.amazonaws.com") -> bool

    keys.Keys(store, clock, settings)        which keys are honoured where: see keys.py
        .find(access_key) -> Credential | None              at most a second old
        .default() -> Credential | None   .ensure_default()   .any_made()   .all()   .create_root_key(account)
        .create(account, user=...) -> Entry[AccessKey]      .set_active   .delete
        .issue(principal, seconds) -> (access_key, AccessKey)        temporary, with session token: STS, jobs
"""
