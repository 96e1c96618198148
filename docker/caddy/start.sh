#!/bin/sh
# The password comes as a file; Caddy wants its hash.
set -eu
PROXY_PASSWORD_HASH=$(caddy hash-password <"$PROXY_PASSWORD_FILE")
export PROXY_PASSWORD_HASH
exec caddy run --config /etc/caddy/Caddyfile --adapter caddyfile
