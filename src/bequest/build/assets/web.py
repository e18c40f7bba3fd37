"""Requests with the certificates, proxy and logins of pip's settings."""

from __future__ import annotations

import base64
import netrc
import ssl
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMES = ("https", "http", "file")
_TIMEOUT = 30.0


class Web:
    """Opens addresses.

    A login written in an index's address goes to that host only; other hosts get what `.netrc`
    has for them.

    Raises:
        OSError: there is no such file of certificates.
    """

    def __init__(
        self, indexes: Sequence[str], cert: str | None = None, proxy: str | None = None
    ) -> None:
        self._logins = {
            parts.netloc.rpartition("@")[2]: (
                unquote(parts.username),
                unquote(parts.password or ""),
            )
            for parts in map(urlsplit, indexes)
            if parts.username
        }
        context = ssl.create_default_context(cafile=cert)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None),
            urllib.request.HTTPSHandler(context=context),
        )

    def open(self, url: str, headers: Mapping[str, str]) -> Any:
        """The answer to a GET request, as `urllib` gives it; to be closed.

        Raises:
            OSError: no answer, or one that says no.
            ValueError: the address can't be used.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ValueError(f"addresses of the kind `{parts.scheme}:` are not opened")
        request = urllib.request.Request(without_login(url), headers=dict(headers))  # noqa: S310 — looked at above
        login = self._login(parts.netloc.rpartition("@")[2], parts.hostname or "")
        if login:
            word = base64.b64encode(":".join(login).encode()).decode()
            # Not sent on to where a redirect leads.
            request.add_unredirected_header("Authorization", f"Basic {word}")
        try:
            return self._opener.open(request, timeout=_TIMEOUT)
        except HTTPException as error:
            raise URLError(str(error) or type(error).__name__) from error

    def _login(self, place: str, host: str) -> tuple[str, str] | None:
        if place in self._logins:
            return self._logins[place]
        try:
            found = netrc.netrc().authenticators(host) if host else None
        except (OSError, netrc.NetrcParseError):
            return None
        return (found[0], found[2] or "") if found else None


def without_login(url: str) -> str:
    """An address without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def reason(error: Exception) -> str:
    """Why a request failed, in a few words."""
    if isinstance(error, HTTPError):
        error.close()
        wants_login = error.code in (401, 403)
        return f"HTTP {error.code} {error.reason}" + (", a login is needed" if wants_login else "")
    if isinstance(error, URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
