"""A real web server: nginx, with HTTP/2, client certificates, old TLS and pages that are encoded."""

from __future__ import annotations

from tests.daemons import Daemon, free_port, listens
from tests.debian import program
from tests.servers import authority, authority_pem

_CONFIGURATION = """
daemon off; master_process off; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
  access_log off; default_type text/plain;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  ssl_certificate {directory}/chain.pem; ssl_certificate_key {directory}/key.pem;
  gzip on; gzip_types text/plain; gzip_min_length 20;
  root {directory};
  server {{
    listen 127.0.0.1:{h2} ssl http2;
    location / {{ return 200 "$server_protocol $ssl_server_name $host $request_method\\n"; }}
    location /long {{ try_files /long =404; }}
    location /moved {{ return 302 /arrived; }}
    location /cookie {{ add_header Set-Cookie "seen=1; Path=/"; return 302 /see; }}
    location /see {{ return 200 "$http_cookie"; }}
    location /login {{ auth_basic "closed"; auth_basic_user_file {directory}/users; try_files /page =404; }}
    location /post {{ client_max_body_size 1m; proxy_pass http://127.0.0.1:{h1}/echo; }}
  }}
  server {{
    listen 127.0.0.1:{h1};
    location / {{ return 200 "$server_protocol $host $request_method $content_type"; }}
    location /echo {{ return 200 "$request_method $content_length $content_type"; }}
  }}
  server {{
    listen 127.0.0.1:{mtls} ssl http2;
    ssl_client_certificate {directory}/ca.pem; ssl_verify_client on;
    location / {{ return 200 "$ssl_client_s_dn"; }}
  }}
  server {{
    listen 127.0.0.1:{old} ssl;
    ssl_protocols TLSv1 TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;
    location / {{ return 200 "old"; }}
  }}
  server {{
    listen 127.0.0.1:{weak} ssl;
    ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0;
    location / {{ return 200 "weak"; }}
  }}
  server {{
    listen 127.0.0.1:{tls} ssl;
    ssl_protocols TLSv1.2;
    location / {{ return 200 "plain"; }}
  }}
}}
"""


class Nginx(Daemon):
    """nginx on six ports: `h2` (over TLS), `tls` (1.2, without HTTP/2), `h1` (in clear), `mtls`, `old` TLS, `weak` ciphers."""

    def __init__(self) -> None:
        super().__init__("nginx")
        self.h2, self.tls, self.h1, self.mtls, self.old, self.weak = (free_port() for _ in range(6))
        leaf = authority().issue_cert("localhost", "127.0.0.1", "shop.test")
        self.write("chain.pem", "".join(pem.bytes().decode() for pem in leaf.cert_chain_pems))
        self.write("key.pem", leaf.private_key_pem.bytes().decode())
        self.write("ca.pem", authority_pem())
        self.write("page", "inside", mode=0o644)
        self.write("long", "all work and no play " * 5000, mode=0o644)
        self.write("users", "eve:{PLAIN}s3cret\n", mode=0o644)
        ports = {name: getattr(self, name) for name in ("h2", "tls", "h1", "mtls", "old", "weak")}
        text = _CONFIGURATION.format(directory=self.directory, **ports)
        configuration = self.write("nginx.conf", text)
        command = [program("nginx"), "-p", self.directory, "-c", configuration, "-e", "stderr"]
        self.start([str(part) for part in command], lambda: listens(self.h2))
