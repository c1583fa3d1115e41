"""Programs that want to speak with anybody but the host's tools. The listeners are real, and must hear nothing."""

from hostile.case import ANY, ERROR, OK, Case

CASES = [
    Case(
        "tcp_to_the_host",
        """
import socket
attempt(lambda: socket.create_connection(('127.0.0.1', @PORT@), 1).send(b'hello'))
""",
        OK,
        says="refused",
    ),
    Case(
        "tcp_to_the_host_by_ipv6",
        """
import socket
attempt(lambda: socket.create_connection(('::1', @PORT@), 1).send(b'hello'))
""",
        OK,
        says="refused",
    ),
    Case(
        "tcp_to_the_world",
        """
import socket
attempt(lambda: socket.create_connection(('192.0.2.1', 80), 1))
""",
        OK,
        says="refused",
    ),
    Case(
        "udp_to_the_host",
        """
import socket
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'hello', ('127.0.0.1', @PORT@)))
""",
        OK,
        says="refused",
    ),
    Case(
        "udp_broadcast",
        """
import socket
def f():
 s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1); s.sendto(b'x', ('255.255.255.255', 9))
attempt(f)
""",
        OK,
        says="refused",
    ),
    Case(
        "dns",
        """
import socket
attempt(lambda: socket.getaddrinfo('example.org', 80))
""",
        OK,
        says="refused",
    ),
    Case(
        "url",
        """
import urllib.request
urllib.request.urlopen('http://127.0.0.1:@PORT@/', timeout=1)
""",
        ERROR,
    ),
    Case(
        "unix_socket_of_the_host",
        """
import socket
def f():
 s = socket.socket(socket.AF_UNIX); s.connect('@SOCKET@'); s.send(b'hello')
attempt(f)
""",
        OK,
        says="refused",
    ),
    Case(
        "abstract_socket_of_the_host",
        """
import socket
def f():
 s = socket.socket(socket.AF_UNIX); s.connect('\\0@ABSTRACT@'); s.send(b'hello')
attempt(f)
""",
        OK,
        says="refused",
    ),
    Case(
        "abstract_socket_by_a_socketpair",
        """
import socket
def f():
 a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.connect('\\0@ABSTRACT@D'); a.send(b'hello')
attempt(f)
""",
        OK,
        says="refused",
    ),
    Case(
        "unix_datagram_by_a_socketpair",
        """
import socket
def f():
 a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'hello', '@SOCKET@D')
attempt(f)
""",
        OK,
        says="refused",
    ),
    Case(
        "listening",
        """
import socket
def f():
 s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
attempt(f)
""",
        OK,
        says="refused",
    ),
    Case(
        "socketpair_that_listens",
        """
import socket
def f():
 a, b = socket.socketpair(); a.bind('\\0mine'); a.listen()
attempt(f)
""",
        ANY,
    ),
    Case(
        "netlink",
        """
import socket
attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
""",
        OK,
        says="refused",
    ),
    Case(
        "raw_socket",
        """
import socket
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
""",
        OK,
        says="refused",
    ),
    Case(
        "packet_socket",
        """
import socket
attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
""",
        OK,
        says="refused",
    ),
    Case(
        "vsock",
        """
import socket
attempt(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
""",
        OK,
        says="refused",
    ),
    Case(
        "crypto_socket",
        """
import socket
attempt(lambda: socket.socket(38, socket.SOCK_SEQPACKET))
""",
        OK,
        says="refused",
    ),
    Case(
        "metadata_service",
        """
import urllib.request
urllib.request.urlopen('http://169.254.169.254/', timeout=1)
""",
        ERROR,
    ),
    Case(
        "docker_socket",
        """
import os, socket
attempt(lambda: socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock'))
""",
        OK,
        says="refused",
    ),
]
