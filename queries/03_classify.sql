-- Classify photos.
--
-- The main job in three statements: register a folder as a table, write the predictions of a model to a Parquet file,
-- and query that file. Run it from Seequel's folder, after `make setup`:
--
--     seequel -f queries/03_classify.sql

-- Each image in the folder and its subfolders is a row. No file is opened yet.
CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- classify() runs the default model, efficientnet_lite0 from the set-up, once for each image, on all cores, and streams
-- the predictions into the file.
COPY (SELECT path, size, classify(image) AS prediction FROM images ORDER BY path) TO 'results.parquet';

-- The file is a table like any other.
SELECT
  regexp_replace(path, '.*/', '')              AS photo,
  prediction['label']                          AS label,
  round(prediction['confidence'] * 100)        AS percent,
  prediction['error']                          AS error
FROM 'results.parquet';
