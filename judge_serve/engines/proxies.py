"""Proxies as the environment names them: what HTTPX cannot use is said with what to do."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from judge_serve.judging.errors import RefusedInputError

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


@contextmanager
def told_of_proxies() -> Iterator[None]:
    """Around whatever makes an HTTP client.

    Raises: RefusedInputError in place of HTTPX's errors about proxies; it names the variable and what can be done.
    """
    try:
        yield
    except ImportError as error:
        if "socks" not in str(error).lower():
            raise
        raise RefusedInputError(
            f"{_named()} names a SOCKS proxy, which needs a package that is not installed: pip install 'httpx[socks]'; "
            "or name an HTTP proxy, or the endpoint's host in NO_PROXY"
        ) from error
    except (ValueError, httpx.InvalidURL) as error:
        unusual = [entry for entry in map(str.strip, _value("NO_PROXY").split(",")) if _is_unusual(entry)]
        if isinstance(error, httpx.InvalidURL) and unusual:
            raise RefusedInputError(
                f"NO_PROXY holds {', '.join(unusual)}, which cannot be read; write IPv6 addresses one by one, without "
                "brackets, port and network, such as localhost,10.0.0.0/8,fd00::7"
            ) from error
        if not _named():
            raise
        raise RefusedInputError(
            f"{_named()} is no address of a proxy that can be used; write http://host:port"
        ) from error


def _named() -> str:
    """The variables that name a proxy, with their schemes; the rest of an address may hold a password."""
    named = [f"{name} ({value.partition('://')[0]}://...)" for name in _PROXIES if "://" in (value := _value(name))]
    return " and ".join(named)


def _value(name: str) -> str:
    return os.environ.get(name.lower()) or os.environ.get(name) or ""


def _is_unusual(entry: str) -> bool:
    """Whether an entry of NO_PROXY is an IPv6 address in brackets or with more than the address."""
    if "[" in entry:
        return True
    try:
        ipaddress.ip_address(entry)
    except ValueError:
        return entry.count(":") > 1 and "://" not in entry
    return False
