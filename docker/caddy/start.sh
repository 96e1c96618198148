#!/bin/sh
# The password comes as a file; Caddy wants its hash, and a whole line to make it from. A new password
# is brought into the running server.
set -eu
config="--config /etc/caddy/Caddyfile --adapter caddyfile"
password=

# Whether the file holds another password than the one in use; its last line has no end.
password_is_new() {
	read -r found <"$PROXY_PASSWORD_FILE" || true
	[ "$found" != "$password" ]
}

take_password() {
	password=$found
	PROXY_PASSWORD_HASH=$(printf '%s\n' "$password" | caddy hash-password)
	export PROXY_PASSWORD_HASH
}

password_is_new
take_password
# shellcheck disable=SC2086 # two options, not one
caddy run $config &
caddy=$!
trap 'kill "$caddy"' TERM INT
while kill -0 "$caddy" 2>/dev/null; do
	sleep 1 &
	wait $! || true
	if password_is_new; then
		take_password
		# shellcheck disable=SC2086
		caddy reload $config --address unix//tmp/admin.sock
	fi
done
wait "$caddy"
