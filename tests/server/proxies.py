"""What people put in front of the page: real proxies, configured as briefly as they can be.

    apt-get install --no-install-recommends nginx-light apache2 caddy haproxy

Each passes everything on, and what is under /cams/ once more: without that path where it can take it away.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.server.served import until

_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ }}
http {{
    access_log off; gzip on;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{behind}; }}
        location /cams/ {{ proxy_pass http://127.0.0.1:{behind}/; }}
        location /kept/ {{ proxy_pass http://127.0.0.1:{behind}; }}
        location /doubled {{ proxy_pass http://127.0.0.1:{behind}/; }}
    }}
}}
"""
_APACHE = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/errors
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule filter_module /usr/lib/apache2/modules/mod_filter.so
LoadModule deflate_module /usr/lib/apache2/modules/mod_deflate.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
AddOutputFilterByType DEFLATE text/html text/plain text/css text/javascript application/javascript application/json
ProxyPass /cams/ http://127.0.0.1:{behind}/
ProxyPass / http://127.0.0.1:{behind}/
"""
_CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    encode gzip
    handle_path /cams/* {{
        reverse_proxy 127.0.0.1:{behind}
    }}
    handle_path /bare* {{
        reverse_proxy 127.0.0.1:{behind}
    }}
    reverse_proxy 127.0.0.1:{behind}
}}
"""
_HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    compression algo gzip
frontend page
    bind 127.0.0.1:{port}
    http-request replace-path /cams/(.*) /\\1
    default_backend serve
backend serve
    server serve 127.0.0.1:{behind}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy: its program, its configuration, and how it is started with it."""

    program: str
    configuration: str
    start: tuple[str, ...]


PROXIES = {
    "nginx": Proxy("nginx", _NGINX, ("-p", "{folder}", "-e", "{folder}/errors", "-c", "{file}")),
    "apache": Proxy("apache2", _APACHE, ("-DFOREGROUND", "-f", "{file}")),
    "caddy": Proxy("caddy", _CADDY, ("run", "--adapter", "caddyfile", "--config", "{file}")),
    "haproxy": Proxy("haproxy", _HAPROXY, ("-db", "-q", "-f", "{file}")),
}


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def is_installed(name: str) -> bool:
    """Return whether a proxy can be started here."""
    return shutil.which(PROXIES[name].program, path="/usr/sbin:/usr/bin:/usr/local/bin") is not None


@contextlib.contextmanager
def proxy(name: str, folder: Path, behind: int) -> Iterator[int]:
    """Start a proxy before a port; yield its own, which can be reached."""
    folder.mkdir()
    file, port, kind = folder / "configuration", free_port(), PROXIES[name]
    file.write_text(kind.configuration.format(folder=folder, port=port, behind=behind))
    program = shutil.which(kind.program, path="/usr/sbin:/usr/bin:/usr/local/bin")
    options = [option.format(folder=folder, file=file) for option in kind.start]
    surroundings = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen([str(program), *options], stdout=said, stderr=said, env=surroundings) as process,
    ):
        try:
            until(lambda: _answers(port))
            yield port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
