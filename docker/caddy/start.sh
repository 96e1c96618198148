#!/bin/sh
# The password comes as a file; Caddy wants its hash, and a whole line to make it from.
set -eu
touch /tmp/started
PROXY_PASSWORD_HASH=$({ cat "$PROXY_PASSWORD_FILE"; echo; } | caddy hash-password)
export PROXY_PASSWORD_HASH
exec caddy run --config /etc/caddy/Caddyfile --adapter caddyfile
