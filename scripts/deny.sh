#!/bin/sh
# Checks licences, sources and known vulnerabilities of all crates with cargo-deny; says so where it can't.
#
#     sh scripts/deny.sh
#
# Licences and sources need no network. Advisories need their database, fetched or already in cargo's home.
set -eu
cargo=${CARGO:-cargo}

if ! "$cargo" deny --version >/dev/null 2>&1; then
    echo "deny: skipped, cargo-deny is not installed; 'cargo install --locked cargo-deny' installs it"
    exit 0
fi
"$cargo" deny --offline --log-level error check licenses sources bans
if "$cargo" deny fetch db >/dev/null 2>&1 || ls -d "${CARGO_HOME:-$HOME/.cargo}"/advisory-dbs/*/ >/dev/null 2>&1; then
    "$cargo" deny --offline --log-level error check advisories
else
    echo "deny: advisories skipped, their database can't be fetched"
fi
