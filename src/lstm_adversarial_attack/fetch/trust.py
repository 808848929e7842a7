"""Which certificate authorities a server's certificate is checked against."""

from __future__ import annotations

import os
import ssl
from importlib import import_module
from pathlib import Path

from lstm_adversarial_attack.errors import UserError


def trusting_context() -> ssl.SSLContext:
    """Return the settings of TLS: SSL_CERT_FILE and SSL_CERT_DIR, else the system's authorities, else certifi's.

    A slim container may have no authorities at all; then every server would look untrustworthy, and the reason
    would be hard to guess. So that case is told apart.

    Raises:
        UserError: SSL_CERT_FILE names something unreadable, or there are no authorities.
    """
    context = ssl.create_default_context()
    named = os.environ.get("SSL_CERT_FILE")
    if named:
        load_authorities(context, "SSL_CERT_FILE", named)  # OpenSSL has tried it, but passes over a bad file in silence
    elif not context.cert_store_stats()["x509_ca"] and not _folder_of_authorities():
        _load_certifi(context)
    return context


def load_authorities(context: ssl.SSLContext, variable: str, file: str) -> None:
    """Trust the authorities in the ``file`` that the environment's ``variable`` names.

    Raises:
        UserError: it is unreadable or holds no certificates.
    """
    try:
        context.load_verify_locations(file)
    except OSError as error:
        reason = "holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise UserError(f"{variable} {file}: {reason}; name a file of certificates, or unset it") from error


def _folder_of_authorities() -> bool:
    """Tell whether OpenSSL finds certificates in folders; it reads them only when it needs one."""
    folders = os.environ.get("SSL_CERT_DIR") or ssl.get_default_verify_paths().openssl_capath
    return any(any(Path(folder).iterdir()) for folder in folders.split(os.pathsep) if Path(folder).is_dir())


def _load_certifi(context: ssl.SSLContext) -> None:
    try:
        certifi = import_module("certifi")
    except ImportError as error:
        raise UserError(
            "no certificate authorities on this system, so no server can be trusted; install its package "
            "ca-certificates, or certifi with pip, or name a file of certificates in SSL_CERT_FILE"
        ) from error
    context.load_verify_locations(certifi.where())
