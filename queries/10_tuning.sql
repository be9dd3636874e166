-- Plans, metrics and model options.
--
--     seequel -f queries/10_tuning.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- The plan: filters and limits that need no model are below inference. EXPLAIN loads no model.
EXPLAIN FORMAT INDENT SELECT path, classify(image)['label'] FROM images WHERE size > 100000 LIMIT 5;

-- Batch size, sessions and threads follow the device; options override them.
CREATE MODEL tuned FROM '.seequel/models/efficientnet_lite0/model.onnx'
OPTIONS (batch_size '4', concurrency '1', num_cpus '2');

EXPLAIN FORMAT INDENT SELECT classify(image, 'tuned') FROM images;

-- TUNE MODEL measures them, and keeps what was fastest for this machine:
--
--     TUNE MODEL efficientnet_lite0 USING (SELECT image FROM images LIMIT 200);
--     SHOW TUNING;

-- EXPLAIN ANALYZE shows the metrics of a run: images decoded, rows inferred and the time of each operator. With this
-- setting, the first error fails the query.
SET inference.on_error = 'fail';
SELECT count(classify(image, 'tuned')['label']) AS predictions FROM images;
