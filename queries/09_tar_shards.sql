-- Tar shards, as WebDataset lays them out: files of one key, one after the other.
--
-- A shard to try it on:
--
--     tar -C .seequel/photos -cf .seequel/photos-000.tar $(ls .seequel/photos)
--     seequel -f queries/09_tar_shards.sql

CREATE EXTERNAL TABLE shards STORED AS WEBDATASET LOCATION '.seequel/photos-{000..000}.tar';

-- A row for each key. Shards are read from their beginning to their end, several side by side.
SELECT regexp_replace(path, '.*/', '') AS key, classify(image)['label'] AS label
FROM shards ORDER BY key LIMIT 5;
