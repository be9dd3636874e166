-- Models are created, listed, described and dropped in SQL.
--
--     seequel -f queries/02_models.sql

-- The two models from the set-up are registered at start.
SHOW MODELS;

-- Another model takes an ONNX file and its options. They are checked here; the model is loaded on first use.
CREATE MODEL half FROM '.seequel/models/efficientnet_lite0/model.onnx'
OPTIONS (crop_fraction '0.5', batch_size '2', concurrency '1');

-- Each setting, and where its value came from.
DESCRIBE MODEL half;

DROP MODEL half;
