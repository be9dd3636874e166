-- The most probable classes of each photo.
--
--     seequel -f queries/04_top_k.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- A list, best first; unnest turns each element into a row.
SELECT photo, guess['label'] AS label, round(guess['confidence'] * 100) AS percent
FROM (
  SELECT regexp_replace(path, '.*/', '') AS photo, unnest(classify_top_k(image, 3)) AS guess
  FROM images WHERE path LIKE '%.jpg'
)
WHERE guess['confidence'] > 0.05
ORDER BY photo, percent DESC;

-- Photos whose two best classes are close. One run of the model serves both functions.
SELECT
  regexp_replace(path, '.*/', '')                                AS photo,
  classify(image)['label']                                       AS first,
  classify_top_k(image, 2)[2]['label']                           AS second
FROM images
WHERE classify(image)['confidence'] < 2 * classify_top_k(image, 2)[2]['confidence']
ORDER BY photo;
