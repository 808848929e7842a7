"""Requests to one HTTPS server: redirects, proxies, and failures told in plain words."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import responses as phrases
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions
from urllib3.response import BaseHTTPResponse

from lstm_adversarial_attack import __version__
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.fetch.trust import trusting_context

_MOST_REDIRECTS = 5
#: Asked for as it lies there: checksums and byte ranges are of the file, not of a compressed copy.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"lstm-adversarial-attack/{__version__}"}


class PassingFailureError(Exception):
    """A failure that may be over at the next try; ``wait_s`` is the wait that the server asks for."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class Server:
    """The files below one https:// address."""

    def __init__(self, address: str, *, timeout_s: float) -> None:
        """Check the address; nothing is asked of the server yet.

        Raises:
            UserError: the address is not a plain https:// address, or there is nothing to check certificates with.
        """
        self._address = _checked_address(address)
        self._timeout_s = timeout_s
        self._pool = _pool(self._address, timeout_s)

    def address_of(self, name: str) -> str:
        """Return the address of a file."""
        return self._address + quote(name)

    @contextmanager
    def asked(
        self, name: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, also: tuple[int, ...] = ()
    ) -> Iterator[BaseHTTPResponse]:
        """Yield the answer, status 200 or one of ``also``; failures while the block reads it are told alike.

        Raises:
            PassingFailureError: a cut or silent connection, or a server that is busy or broken for now.
            UserError: what another try would not mend.
        """
        address = self.address_of(name)
        response = self._follow(method, address, {**_HEADERS, **(headers or {})})
        try:
            _check_status(response, address, {200, *also})
            yield response
        except exceptions.TimeoutError as error:
            raise self._silence(address) from error
        except exceptions.HTTPError as error:
            raise _cut(address) from error
        finally:
            response.close()

    def _follow(self, method: str, address: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Follow redirects by hand, since urllib3 would follow them to http:// too."""
        start = address
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._answer(method, address, headers)
            target = response.get_redirect_location()
            if not target:
                return response
            response.close()
            try:
                address = urljoin(address, target)
                usable = urlsplit(address).scheme == "https"
            except ValueError as error:
                raise UserError(f"{shown(start)}: redirects to what is no address; refused") from error
            if not usable:
                raise UserError(f"{shown(start)}: redirects to {shown(address)}, which is not https://; refused")
        raise UserError(f"{shown(start)}: redirects more than {_MOST_REDIRECTS} times; check the address")

    def _answer(self, method: str, address: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        try:
            return self._pool.request(
                method, address, headers=headers, preload_content=False, redirect=False, retries=False
            )
        except exceptions.HTTPError as error:
            raise self._explained(error, address) from error

    def _explained(self, error: exceptions.HTTPError, address: str) -> PassingFailureError | UserError:
        """Return in plain words why ``address`` gave no answer."""
        host = urlsplit(address).netloc.rpartition("@")[2]
        if isinstance(error, exceptions.ProxyError):
            return UserError(f"{host}: the proxy that https_proxy names does not let this through; check it")
        if isinstance(error, exceptions.NameResolutionError):
            return UserError(f"{host}: no such host, or no network; check the address and the network")
        if isinstance(error, exceptions.SSLError):
            return _tls_failure(error, address, host)
        if isinstance(error, exceptions.NewConnectionError):
            reason = getattr(error.__cause__, "strerror", None) or "no way there"
            return PassingFailureError(f"{host}: no connection ({reason})")
        if isinstance(error, exceptions.TimeoutError):
            return self._silence(address)
        if isinstance(error, exceptions.LocationValueError):
            return UserError(f"{shown(address)}: not an address that can be asked; check it")
        return _cut(address)

    def _silence(self, address: str) -> PassingFailureError:
        return PassingFailureError(f"{shown(address)}: no sign of the server for {self._timeout_s:g} s")


def _cut(address: str) -> PassingFailureError:
    return PassingFailureError(f"{shown(address)}: the connection was cut")


def shown(address: str) -> str:
    """Return an address for a message, on one line and without what may be a secret."""
    parts = urlsplit(address)
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return "".join(character for character in plain if character.isprintable())


def _checked_address(address: str) -> str:
    """Return ``address`` with a slash at its end, so that names can be joined to it."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if "@" in address:
        raise UserError("--mirror: leave user and password out of the address")
    if not usable or parts.query or parts.fragment:
        raise UserError(f"--mirror {address!r}: give the https:// address of a folder")
    return address.rstrip("/") + "/"


def _pool(address: str, timeout_s: float) -> urllib3.PoolManager:
    """Return a pool of connections, by way of the proxy that the environment names for the address."""
    context, timeout = trusting_context(), urllib3.Timeout(connect=timeout_s, read=timeout_s)
    proxy = getproxies().get("https")
    if not proxy or proxy_bypass(urlsplit(address).netloc):
        return urllib3.PoolManager(ssl_context=context, timeout=timeout)
    try:
        user = urllib3.util.parse_url(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, ssl_context=context, timeout=timeout)
    except (exceptions.HTTPError, ValueError) as error:
        raise UserError("https_proxy: not the address of a proxy; give http://HOST:PORT or unset it") from error


def _check_status(response: BaseHTTPResponse, address: str, expected: set[int]) -> None:
    status, where = response.status, shown(address)
    if status in expected:
        return
    if status in (404, 410):
        raise UserError(f"{where}: not there ({status}); check the address")
    if status in (401, 403, 407):
        raise UserError(f"{where}: the server refuses access ({status}); check the address")
    phrase = phrases.get(status, "unknown status")
    if status in (408, 429) or status >= 500:
        raise PassingFailureError(f"{where}: the server answers {status} ({phrase})", _asked_wait_s(response))
    raise UserError(f"{where}: the server answers {status} ({phrase}), of which nothing can be made; check the address")


def _asked_wait_s(response: BaseHTTPResponse) -> float | None:
    """Return the seconds of the header Retry-After, which may be a date."""
    try:
        return urllib3.Retry().get_retry_after(response)
    except exceptions.InvalidHeader:
        return None


def _tls_failure(error: exceptions.SSLError, address: str, host: str) -> PassingFailureError | UserError:
    reason = error.args[0] if error.args else None
    if isinstance(reason, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _cut(address)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return UserError(
            f"{host}: its certificate is not trusted ({reason.verify_message.rstrip('.')}); if it is right, name its "
            "authority's certificate in SSL_CERT_FILE"
        )
    words = getattr(reason, "reason", None) or "no agreement"
    return UserError(f"{host}: no TLS there ({words.replace('_', ' ').lower()}); check address and port")
