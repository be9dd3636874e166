#!/bin/sh
# Starts a scheduler and two executors on this machine, classifies the set-up's photos on them, and stops them.
set -eu
home=${SEEQUEL_HOME:-.seequel}
folder=$(mktemp -d)
started=
stop() {
    for process in $started; do kill "$process" 2>/dev/null || true; done
    wait
    rm -r "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

seequel=$($CARGO metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/seequel

"$seequel" scheduler --bind 127.0.0.1:0 2>"$folder/scheduler" &
started=$!
until scheduler=$(sed -n 's/^Scheduling at \([^;]*\);.*/\1/p' "$folder/scheduler") && [ -n "$scheduler" ]; do
    kill -0 "$started" 2>/dev/null || { cat "$folder/scheduler"; exit 1; }
    sleep 0.1
done
echo "The scheduler is at $scheduler."
for number in 1 2; do
    "$seequel" executor --scheduler "$scheduler" --cores 1 2>"$folder/executor-$number" &
    started="$started $!"
done
"$seequel" --cluster "$scheduler" -c "
    COPY (SELECT path, classify(image) AS prediction FROM read_images('$home/photos/')) TO 'cluster.parquet';
    SELECT prediction['label'] AS label, count(*) AS photos FROM 'cluster.parquet' GROUP BY label ORDER BY photos DESC, label"
