"""How sessions are encrypted where a server offers it: opportunistically (RFC 7435), as among mail servers.

Recipients are personal data, and encryption keeps them from whoever only listens. It is no proof of who the server
is: certificates of mail hosts rarely carry the name that the MX record gives, and whoever could put another server
in the way could also take STARTTLS out of its reply (RFC 3207 6). So no certificate is verified, no name is sent
(Postfix's default, too), and a handshake that fails leads to a session in the clear rather than to no answer.
"""

import ssl


def opportunistic_tls() -> ssl.SSLContext:
    """Give a context that encrypts and verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
