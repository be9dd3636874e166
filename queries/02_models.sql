-- Models are objects: made, shown, described and dropped by SQL.
--
--     seequel -f queries/02_models.sql

-- The set-up's two are there from the start.
SHOW MODELS;

-- Another one takes an ONNX file, and what its author knows about it. Nothing is loaded yet, everything is checked.
CREATE MODEL half FROM '.seequel/models/efficientnet_lite0/model.onnx'
OPTIONS (crop_fraction '0.5', batch_size '2', concurrency '1');

-- Each setting, and where it came from.
DESCRIBE MODEL half;

DROP MODEL half;
