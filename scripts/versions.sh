#!/bin/sh
# Fails if a crate whose types cross crate boundaries is in the tree in two versions: their types would not fit.
set -eu
status=0
for crate in arrow arrow-schema datafusion object_store parquet sqlparser; do
    versions=$(cargo tree --workspace --all-features --locked --invert "$crate" --depth 0 2>&1) || {
        echo "$crate: $versions" >&2
        status=1
        continue
    }
    echo "$versions"
done
exit $status
