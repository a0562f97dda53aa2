"""A man in the middle of PostgreSQL over TLS: shows the client a certificate of its own and talks TLS to the server."""

import contextlib
import select
import socket
import ssl
import threading

from wire import SSL_REQUEST, Wire


class Interceptor:
    """Listens on `port` until close(); each connection is passed on to `target`, decrypted on the way."""

    def __init__(self, port, target, crt, key):
        self.target = target
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(crt, key)
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        # Whoever leaves takes the other side along.
        with contextlib.suppress(OSError), contextlib.closing(client):
            if client.recv(len(SSL_REQUEST)) != SSL_REQUEST:
                return
            client.sendall(b"S")
            with self.context.wrap_socket(client, server_side=True) as inside, Wire(self.target) as server:
                assert server.request_tls()
                self._pass_on(inside, server.socket)

    @staticmethod
    def _pass_on(one, other):
        while True:
            ready = [s for s in (one, other) if s.pending()] or select.select([one, other], [], [])[0]
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                (other if source is one else one).sendall(data)
