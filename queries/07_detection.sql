-- What is where on these photos? Boxes, and a second model for what is in them.
--
-- The detector is fetched for the tests only, since nothing is said of its weights' licence:
--
--     python3 scripts/setup.py --tests
--     seequel -f queries/07_detection.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';
CREATE EXTERNAL TABLE animals STORED AS IMAGES LOCATION '.seequel/tests/photos/';

CREATE MODEL yolo FROM '.seequel/tests/yolov3_tiny/model.onnx';

-- A list of objects for each photo; unnest makes a row of each.
SELECT photo, object['label'] AS label, round(object['confidence'] * 100) AS percent
FROM (SELECT regexp_replace(path, '.*/', '') AS photo, unnest(detect(image, 'yolo')) AS object FROM animals)
WHERE object['confidence'] > 0.5
ORDER BY photo, percent DESC, label;

-- Cut the objects out, and ask the classifier about each: dogs become breeds.
SELECT photo, object['label'] AS detected, classify(crop(image, object['box']))['label'] AS classified
FROM (SELECT regexp_replace(path, '.*/', '') AS photo, image, unnest(detect(image, 'yolo')) AS object FROM animals)
WHERE object['label'] IN ('dog', 'cat') AND object['confidence'] > 0.5
ORDER BY photo, detected;
