-- What is on these photos?
--
-- The main job in three statements: a folder becomes a table, a model becomes a function, the predictions become a
-- Parquet file. Run it from Seequel's folder, after `make setup`:
--
--     seequel -f queries/03_classify.sql

-- Every image in the folder and below it is a row. No file is opened yet.
CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- classify() runs the default model, efficientnet_lite0, which the set-up fetched: once for each image, on all cores,
-- streaming into the file.
COPY (SELECT path, size, classify(image) AS prediction FROM images ORDER BY path) TO 'results.parquet';

-- The file is a table like any other.
SELECT
  regexp_replace(path, '.*/', '')              AS photo,
  prediction['label']                          AS label,
  round(prediction['confidence'] * 100)        AS percent,
  prediction['error']                          AS error
FROM 'results.parquet';
