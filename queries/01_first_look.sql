-- A first look: a folder of images is a table.
--
-- Run any of these files from Seequel's folder, after `make setup`:
--
--     seequel -f queries/01_first_look.sql

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- Counting opens no file: names and sizes come from the listing.
SELECT count(*) AS photos, sum(size) AS bytes FROM images;

-- Sizes in pixels and formats come from the first bytes of each file.
SELECT format, count(*) AS photos, max(width) AS widest, max(height) AS tallest
FROM images GROUP BY format ORDER BY format;

-- Files excluded by a filter on the listing are not read.
SELECT regexp_replace(path, '.*/', '') AS photo, width, height
FROM images WHERE size > 400000 ORDER BY photo;

-- A folder can be queried without creating a table.
SELECT count(*) AS jpegs FROM read_images('.seequel/photos/*.jpg');

-- Other metadata from the headers.
SELECT regexp_replace(path, '.*/', '') AS photo, info['color'] AS color, info['bits'] AS bits
FROM (SELECT path, image_info(image) AS info FROM images)
WHERE info['color'] <> 'RGB' ORDER BY photo;
