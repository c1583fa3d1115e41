"""Which hosts a web tool may talk to: public addresses only, looked at when the connection is made.

The name is resolved here and the connection goes to an address that was looked at, so that a name which changes its
address in between (DNS rebinding) gains nothing. Every redirect makes a connection of its own and is looked at again.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

import httpcore2
import httpx2

from sport.errors import ToolError

NAT64 = ipaddress.ip_network("64:ff9b::/96")  # the last four bytes are an IPv4 address
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet; what is wrapped into an IPv6 address counts as itself.

    >>> is_public(ipaddress.ip_address("8.8.8.8")), is_public(ipaddress.ip_address("::ffff:127.0.0.1"))
    (True, False)
    """
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _wrapped(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


class PublicOnly(httpcore2.SyncBackend):
    """Connects to public addresses and to nothing else."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """To the first address that answers.

        Raises:
            ToolError: the host has an address that is not public, or none at all.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ToolError(f"there is no host {host} ({error.strerror})") from error
        addresses = list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found))
        for one in addresses:
            if not is_public(ipaddress.ip_address(one)):
                raise ToolError(f"{host} has the address {one}, which is not of the public internet")
        problem: Exception | None = None
        for one in addresses:
            try:
                return super().connect_tcp(one, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        assert problem is not None  # getaddrinfo gives at least one
        raise problem


class PublicTransport(httpx2.HTTPTransport):
    """HTTP over :class:`PublicOnly`. No proxy: behind one, only the proxy would know the address."""

    def __init__(self) -> None:
        super().__init__(trust_env=False)
        context = httpx2.create_ssl_context(trust_env=False)
        self._pool = httpcore2.ConnectionPool(ssl_context=context, network_backend=PublicOnly())
