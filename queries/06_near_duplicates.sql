-- Find similar photos: embeddings for similar content, hashes for copies.
--
--     seequel -f queries/06_near_duplicates.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- Vectors of all photos and of smaller copies of some, written to a file, so that comparing pairs needs no inference.
COPY (
  SELECT regexp_replace(path, '.*/', '') AS photo, embed(image) AS vector, phash(image) AS hash FROM images
  UNION ALL
  SELECT 'copy of ' || regexp_replace(path, '.*/', ''), embed(copy), phash(copy)
  FROM (SELECT path, convert(thumbnail(image, 320), 'jpeg') AS copy FROM images WHERE regexp_replace(path, '.*/', '') LIKE 'c%')
) TO 'vectors.parquet';

-- Pairs with similar content: the copies, and the two photos of one motorcycle.
SELECT a.photo, b.photo AS looks_like, round(cosine_similarity(a.vector, b.vector), 1) AS likeness
FROM 'vectors.parquet' a JOIN 'vectors.parquet' b ON a.photo < b.photo
WHERE cosine_similarity(a.vector, b.vector) > 0.8
ORDER BY a.photo, b.photo;

-- Copies: hashes that differ in few of their 64 bits.
SELECT a.photo, b.photo AS copy_of
FROM 'vectors.parquet' a JOIN 'vectors.parquet' b ON a.photo < b.photo
WHERE hamming_distance(a.hash, b.hash) <= 8
ORDER BY a.photo, b.photo;
