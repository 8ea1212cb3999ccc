"""Checks an identity assertion with PyJWT, as an app behind the gateway would, and prints its claims as JSON.

Usage: assertion.py ISSUER AUDIENCE JWKS_URL_OR_FILE ASSERTION
Ends with 1, and the reason on standard error, when the assertion is not to be believed.
"""

import json
import sys
from pathlib import Path

import jwt

CLAIMS = ["iss", "aud", "sub", "appid", "openid", "scope", "iat", "exp", "jti"]


def main(issuer, audience, jwks, assertion):
    try:
        claims = jwt.decode(
            assertion,
            signing_key(jwks, assertion),
            # Never what the assertion itself asks for.
            algorithms=["ES256"],
            issuer=issuer,
            audience=audience,
            options={"require": CLAIMS},
        )
    except jwt.PyJWTError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(json.dumps(claims))


def signing_key(jwks, assertion):
    """The published key that the assertion names."""
    if jwks.startswith(("http://", "https://")):
        return jwt.PyJWKClient(jwks).get_signing_key_from_jwt(assertion)
    name = jwt.get_unverified_header(assertion).get("kid")
    for key in jwt.PyJWKSet.from_json(Path(jwks).read_text()).keys:
        if key.key_id == name and key.public_key_use == "sig":
            return key
    raise jwt.PyJWKClientError(f"no published key is called {name!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
