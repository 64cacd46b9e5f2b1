#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# demo.sh [BUILD]: start the bundled leaking server under its load, trace it for 15 seconds, print the report.
set -euo pipefail

seconds=15
build=${1:-build}
server=$build/fixtures/leaky_server
started=()
folder=$(mktemp -d)

# Whatever happens, nothing of this is left running.
clean_up() {
	for pid in "${started[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$(id -u)" -ne 0 ]; then
	echo "demo.sh: leaktrace loads BPF programs: run it as root (sudo make demo)" >&2
	exit 3
fi

"$server" serve $((seconds + 30)) >"$folder/port" &
started+=($!)
server_pid=$!
for _ in $(seq 100); do
	[ -s "$folder/port" ] && break
	sleep 0.05
done
[ -s "$folder/port" ] || {
	echo "demo.sh: the server did not start" >&2
	exit 1
}
port=$(cat "$folder/port")
"$server" load "$port" $((seconds + 30)) &
started+=($!)

echo "A server with a leak runs as process $server_pid on port $port, under load."
echo "\$ leaktrace --pid $server_pid --duration $seconds"
echo
"$build/leaktrace" --pid "$server_pid" --duration "$seconds"
