"""Whose certificates are trusted, for every connection of this house that goes through TLS."""

import ssl

from spine.errors import Misconfigured


def trusting(key: str, ca_file: str) -> ssl.SSLContext:
    """Give a context that trusts a PEM file, or the system's authorities where none is named.

    Names are checked too. Raises: Misconfigured that names `key`."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # an SSLError is one too
        raise Misconfigured(key, f"{ca_file} has no certificate: {error}") from error
