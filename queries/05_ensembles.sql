-- Combine two models in an ensemble.
--
--     seequel -f queries/05_ensembles.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- Each member resizes the image to its own input size.
CREATE MODEL surer AS ENSEMBLE OF (efficientnet_lite0, efficientnet_lite2) OPTIONS (combine 'max_confidence');
CREATE MODEL mean AS ENSEMBLE OF (efficientnet_lite0, efficientnet_lite2) OPTIONS (combine 'mean');

-- The ensembles' predictions where the members disagree. Four calls, but each model runs once for each photo.
SELECT
  photo,
  lite0['label'] AS lite0,
  lite2['label'] AS lite2,
  surer['model'] AS surer,
  mean['label']  AS mean
FROM (
  SELECT
    regexp_replace(path, '.*/', '')       AS photo,
    classify(image, 'efficientnet_lite0') AS lite0,
    classify(image, 'efficientnet_lite2') AS lite2,
    classify(image, 'surer')              AS surer,
    classify(image, 'mean')               AS mean
  FROM images
)
WHERE lite0['class'] <> lite2['class']
ORDER BY photo;
