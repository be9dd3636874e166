-- Detect objects, and classify the contents of their boxes with a second model.
--
-- The detector is fetched for the tests only, since the licence of its weights is not stated:
--
--     python3 scripts/setup.py --tests
--     seequel -f queries/07_detection.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';
CREATE EXTERNAL TABLE animals STORED AS IMAGES LOCATION '.seequel/tests/photos/';

CREATE MODEL yolo FROM '.seequel/tests/yolov3_tiny/model.onnx';

-- A list of objects for each photo; unnest turns each into a row.
SELECT photo, object['label'] AS label, round(object['confidence'] * 100) AS percent
FROM (SELECT regexp_replace(path, '.*/', '') AS photo, unnest(detect(image, 'yolo')) AS object FROM animals)
WHERE object['confidence'] > 0.5
ORDER BY photo, percent DESC, label;

-- Crop each object and classify it: the classifier distinguishes breeds of dogs.
SELECT photo, object['label'] AS detected, classify(crop(image, object['box']))['label'] AS classified
FROM (SELECT regexp_replace(path, '.*/', '') AS photo, image, unnest(detect(image, 'yolo')) AS object FROM animals)
WHERE object['label'] IN ('dog', 'cat') AND object['confidence'] > 0.5
ORDER BY photo, detected;
