-- A tuning session: what a model starts with, what is faster, and what that gains.
--
--     seequel -f queries/10_tuning.sql
--
-- Outcomes are those of one run, on 2 cores of an AMD EPYC with ONNX Runtime 1.32.0; columns are left out. Yours differ.

CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION '.seequel/photos/';

-- The plan. Filters and limits that need no model are below inference. Batch size and sessions are what `auto` starts from
-- on this machine. EXPLAIN loads no model.
EXPLAIN FORMAT INDENT SELECT path, classify(image)['label'] FROM images WHERE size > 100000 LIMIT 5;
--   InferExec: calls=[__infer_1=classify(image@1, 'efficientnet_lite0') {device=cpu, batch_size=1, concurrency=2}]

-- Tries other batch sizes, sessions and threads by turns, on rows that a query gives, and keeps what is fastest. On so few
-- photos it was sure after 8 seconds.
TUNE MODEL efficientnet_lite0 USING (SELECT image FROM images LIMIT 40) OPTIONS (budget '10s');
--   batch_size | concurrency | num_cpus | rows_per_second | low    | high   | p50_ms | runs | outcome
--   2          | 2           | 1        | 153.88          | 149.15 | 157.1  | 18.69  | 4    | chosen
--   4          | 2           | 1        | 150.97          | 150.97 | 150.97 | 39.42  | 1    | slower
--   16         | 2           | 1        | 150.18          | 150.18 | 150.18 | 177.15 | 1    | slower
--   8          | 2           | 1        | 149.54          | 149.54 | 149.54 | 86.02  | 1    | slower
--   1          | 2           | 1        | 149.39          | 147.73 | 150.93 | 9.92   | 9    | default
--   32         | 2           | 1        | 140.66          | 140.66 | 140.66 | 360.45 | 1    | slower
--   2          | 1           | 2        | 120.49          | 120.49 | 120.49 | 14.02  | 1    | slower
--   8          | 1           | 2        | 117.24          | 117.24 | 117.24 | 60.67  | 1    | slower
--   1          | 1           | 2        | 113.07          | 113.07 | 113.07 | 8.06   | 1    | slower
--   4          | 1           | 2        |                 |        |        |        | 0    | not tried: smaller batches are slower
--   (two more that were not tried)

-- What was chosen, and what it gains in multiples of the default's throughput: 3 %, and at least 0.7 % in 95 of 100 cases.
-- What `auto` starts from leaves little to gain here.
SHOW TUNING;
--   model              | batch_size | concurrency | num_cpus | gain  | gain_low | gain_high | machine
--   efficientnet_lite0 | 2          | 2           | 1        | 1.032 | 1.007    | 1.057     | AMD EPYC, 2 cores

-- All that was tried is a table: one session of two threads is far behind two of one.
SELECT concurrency, num_cpus, max(rows_per_second) AS best
FROM tuning_trials('efficientnet_lite0') GROUP BY concurrency, num_cpus ORDER BY best DESC NULLS LAST;
--   2 | 1 | 153.88
--   1 | 2 | 120.49

-- Queries use it from now on.
EXPLAIN FORMAT INDENT SELECT classify(image) FROM images;
--   InferExec: calls=[… {device=cpu, batch_size=2, concurrency=2, tuned}]
SELECT count(classify(image)['label']) AS predictions FROM images;

-- Options override it. Those of this model leave a core idle, and ADVISE finds that out by trials on the query's rows.
CREATE MODEL by_hand FROM '.seequel/models/efficientnet_lite0/model.onnx'
OPTIONS (labels '.seequel/models/efficientnet_lite0/labels.txt', batch_size '4', concurrency '1', num_cpus '1');

ADVISE SELECT classify(image, 'by_hand') FROM images;
--   cause    | finding                                                          | gain | change
--   sessions | 'by_hand' has too few sessions: 1 session of 1 thread on 2 cores | 1.87 | … concurrency '2', num_cpus '1' …
--   limit    | inference sets the pace: 98 % of what it can do                  |      |

-- Forgets what was found, here and for later sessions.
RESET TUNING efficientnet_lite0;
EXPLAIN FORMAT INDENT SELECT classify(image) FROM images;
--   InferExec: calls=[… {device=cpu, batch_size=1, concurrency=2}]
