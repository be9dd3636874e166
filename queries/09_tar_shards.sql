-- Tar shards in WebDataset's layout: files with the same key are adjacent.
--
-- Make a shard to try it:
--
--     tar -C .seequel/photos -cf .seequel/photos-000.tar $(ls .seequel/photos)
--     seequel -f queries/09_tar_shards.sql

CREATE EXTERNAL TABLE shards STORED AS WEBDATASET LOCATION '.seequel/photos-{000..000}.tar';

-- A row for each key. Shards are read sequentially, several in parallel.
SELECT regexp_replace(path, '.*/', '') AS key, classify(image)['label'] AS label
FROM shards ORDER BY key LIMIT 5;
