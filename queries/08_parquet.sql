-- Read and write Parquet: images and predictions as columns.
--
--     seequel -f queries/08_parquet.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- Encoded images are stored unchanged, in one file with other columns.
COPY (SELECT regexp_replace(path, '.*/', '') AS photo, image FROM images) TO 'photos.parquet';

-- Any binary column can be classified, on all cores, even from one file.
COPY (SELECT photo, classify(image) AS prediction FROM 'photos.parquet') TO 'predictions.parquet';

-- Predictions are columns like any other.
SELECT prediction['label'] AS label, count(*) AS photos
FROM 'predictions.parquet' GROUP BY label ORDER BY photos DESC, label LIMIT 5;

-- Join them with the images: thumbnails of images classified with high confidence.
COPY (
  SELECT photo, prediction['label'] AS label, thumbnail(image, 128) AS image
  FROM 'photos.parquet' JOIN 'predictions.parquet' USING (photo)
  WHERE prediction['confidence'] > 0.8
) TO 'sure.parquet';

SELECT photo, label, image_info(image)['width'] AS width FROM 'sure.parquet' ORDER BY photo;
