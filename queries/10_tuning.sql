-- What does it cost, and who decides? Plans and their metrics.
--
--     seequel -f queries/10_tuning.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- The plan: filters and limits that need no model lie below inference, and no model has been loaded for this.
EXPLAIN FORMAT INDENT SELECT path, classify(image)['label'] FROM images WHERE size > 100000 LIMIT 5;

-- Batch size, sessions and threads follow the device; options override them.
CREATE MODEL tuned FROM '.seequel/models/efficientnet_lite0/model.onnx'
OPTIONS (batch_size '4', concurrency '1', num_cpus '2');

EXPLAIN FORMAT INDENT SELECT classify(image, 'tuned') FROM images;

-- What a run cost is in the metrics of its operators: EXPLAIN ANALYZE shows them, with images decoded, rows inferred and
-- the time of each. Here, how many rows failed and where the first error stops the query is a setting.
SET inference.on_error = 'fail';
SELECT count(classify(image, 'tuned')['label']) AS predictions FROM images;
