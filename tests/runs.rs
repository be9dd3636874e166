//! How often models run: once for each distinct call and row, and only on rows that need a prediction.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;

use crate::support::{Run, engine, folder_of};

const PHOTOS: usize = 20;

/// Rows the models of one query ran on, by the operator's metric and by the models' own counters.
async fn runs(sql: &str) -> usize {
    let engine = engine().await;
    let run = Run::new(&engine, sql).await;
    let counted: u64 = ["efficientnet_lite0", "efficientnet_lite2"]
        .iter()
        .map(|name| engine.models().get(name).unwrap().inferred_rows())
        .sum();
    let counted = usize::try_from(counted).unwrap();
    let metric = run.metric("InferExec", "inferred_rows");
    // The fallback has no operator, so the models' count may be higher, but not lower.
    assert!(counted >= metric, "{counted} rows counted by the models, {metric} by the operators");
    counted
}

macro_rules! runs {
    ($($name:ident: $rows:expr, $sql:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            assert_eq!(runs($sql).await, $rows, "{}", $sql);
        })*
    };
}

runs! {
    a_subquery_s_prediction_is_read_twice_but_computed_once: PHOTOS,
        "SELECT c['label'], c['confidence'] FROM (SELECT classify(image) AS c FROM images)";

    a_prediction_that_is_filtered_and_selected_is_computed_once: PHOTOS,
        "SELECT c FROM (SELECT classify(image) AS c FROM images) WHERE c['label'] = 'espresso'";

    two_fields_of_one_call_are_one_run: PHOTOS,
        "SELECT classify(image)['label'], classify(image)['confidence'] FROM images";

    fields_behind_dots_and_brackets_are_one_run: PHOTOS,
        "SELECT classify(image).label, classify(image)['confidence'] FROM images ORDER BY classify(image).class";

    all_fields_of_a_call_are_one_run: PHOTOS,
        "SELECT classify(image).* FROM images";

    all_fields_of_a_column_are_one_run: PHOTOS,
        "SELECT p.* EXCLUDE (model) FROM (SELECT classify(image) AS p FROM images) WHERE p.confidence > 0.1";

    naming_the_default_model_makes_no_other_call: PHOTOS,
        "SELECT classify(image), classify(image, 'efficientnet_lite0') FROM images";

    two_models_are_two_runs: 2 * PHOTOS,
        "SELECT classify(image), classify(image, 'efficientnet_lite2') FROM images";

    select_where_and_order_by_share_a_call: PHOTOS,
        "SELECT classify(image)['label'] FROM images
         WHERE classify(image)['confidence'] > 0.1 ORDER BY classify(image)['class']";

    a_window_s_order_shares_the_call_in_select: PHOTOS,
        "SELECT classify(image)['label'], row_number() OVER (ORDER BY classify(image)['confidence']) FROM images";

    grouping_and_aggregating_share_a_call: PHOTOS,
        "SELECT classify(image)['label'] AS l, max(classify(image)['confidence']) FROM images
         GROUP BY l HAVING max(classify(image)['confidence']) > 0.1";

    a_cheap_filter_comes_first: 1,
        "SELECT path FROM images
         WHERE classify(image)['label'] = 'espresso' AND path LIKE '%coffee.png'";

    a_cheap_filter_comes_first_over_a_subquery: 1,
        "SELECT path FROM (SELECT path, classify(image) AS c FROM images)
         WHERE c['label'] = 'espresso' AND path LIKE '%coffee.png'";

    a_call_below_an_alias_serves_the_one_above: PHOTOS,
        "SELECT t.path, classify(t.image)['label'] FROM
           (SELECT * FROM images WHERE classify(image)['confidence'] > 0.1) AS t";

    a_prediction_nobody_reads_is_not_computed: 0,
        "SELECT count(*) FROM (SELECT classify(image) FROM images)";

    one_prediction_of_two_is_not_read: PHOTOS,
        "SELECT a FROM (SELECT classify(image) AS a, classify(image, 'efficientnet_lite2') AS b FROM images)";

    a_limit_comes_first: 3,
        "SELECT path, classify(image) FROM images LIMIT 3";

    an_offset_s_rows_are_not_inferred: 2,
        "SELECT path, classify(image) FROM images LIMIT 2 OFFSET 5";

    a_limit_over_a_derived_table_comes_first: 3,
        "SELECT path, c['label'] FROM (SELECT path, size, classify(image) AS c FROM images) t ORDER BY size LIMIT 3";

    a_correlated_subquery_is_one_join: PHOTOS,
        "SELECT path FROM images i WHERE
           (SELECT max(classify(o.image)['label']) FROM images o WHERE o.path = i.path) = 'lion'";

    a_lateral_join_is_one_join: PHOTOS,
        "SELECT i.path, x.l FROM images i,
           LATERAL (SELECT classify(o.image)['label'] AS l FROM images o WHERE o.path = i.path) x";

    a_call_of_an_outer_image_runs_once_a_row: PHOTOS,
        "SELECT path FROM images i WHERE EXISTS
           (SELECT 1 FROM images o WHERE o.path = i.path AND classify(i.image)['label'] = 'lion')";

    a_limit_after_sorting_by_size_comes_first: 3,
        "SELECT path, classify(image)['label'] FROM images ORDER BY size DESC LIMIT 3";

    a_limit_after_sorting_by_a_prediction_needs_all: PHOTOS,
        "SELECT path FROM images ORDER BY classify(image)['confidence'] DESC LIMIT 3";

    a_branch_of_case_runs_for_the_rows_that_take_it: 1,
        "SELECT CASE WHEN path LIKE '%coffee.png' THEN classify(image)['label'] END FROM images";

    a_case_over_a_prediction_is_not_a_branch: PHOTOS,
        "SELECT CASE classify(image)['label'] WHEN 'espresso' THEN 1 ELSE 0 END FROM images";

    a_view_s_prediction_is_one_call: PHOTOS,
        "WITH v AS (SELECT path, classify(image) AS c FROM images)
         SELECT c['label'], count(*) FROM v WHERE c['error'] IS NULL GROUP BY 1";

    the_best_class_and_the_best_three_are_one_run: PHOTOS,
        "SELECT classify(image), classify_top_k(image, 3), classify_top_k(image, 5) FROM images";

    classes_and_vectors_are_one_run: PHOTOS,
        "SELECT classify(image), embed(image), predict('efficientnet_lite0', image) FROM images";

    an_unnested_prediction_is_computed_once: PHOTOS,
        "SELECT path, c['label'] FROM (SELECT path, unnest(classify_top_k(image, 3)) AS c FROM images)
         WHERE c['confidence'] > 0.2";

    one_output_of_many_that_is_read_is_one_run: PHOTOS,
        "SELECT p['features'], p['logits'] FROM (SELECT predict('efficientnet_lite0', image) AS p FROM images)";

    keys_of_distinct_on_stay_the_same: 2 * PHOTOS,
        "SELECT DISTINCT ON (coalesce(embed(image)[1], classify(image)['confidence'])) classify(image)['label'] FROM images
         ORDER BY coalesce(embed(image)[1], classify(image)['confidence'])";

    an_error_is_no_run_of_its_own: PHOTOS,
        "SELECT embed(image), image_error(image), image_error(image, 'efficientnet_lite0') FROM images";

    an_error_in_where_is_no_run_of_its_own: PHOTOS,
        "SELECT path, embed(image) FROM images WHERE image_error(image) IS NULL";

    an_error_of_an_alias_is_no_run_of_its_own: PHOTOS,
        "SELECT t.path, embed(t.image) FROM
           (SELECT path, image FROM images WHERE image_error(image, 'efficientnet_lite0') IS NULL) AS t";

    an_error_of_a_filtered_prediction_is_no_run_of_its_own: PHOTOS,
        "SELECT path, image_error(image) FROM images WHERE embed(image) IS NOT NULL";

    an_error_without_a_model_runs_none: 0,
        "SELECT path, image_error(image) FROM images";

    an_error_of_a_model_alone_runs_it: PHOTOS,
        "SELECT path, image_error(image, 'efficientnet_lite0') FROM images";

    each_side_of_a_self_join_runs_its_own: 2 * PHOTOS,
        "SELECT a.path FROM images a JOIN images b ON classify(a.image)['class'] = classify(b.image)['class']";
}

#[tokio::test]
async fn null_rows_of_an_outer_join_have_null_predictions() {
    let engine = engine().await;
    let on = "a.path = b.path AND a.size < 0 AND classify(X'00')['error'] = 'no'";
    let sql =
        format!("SELECT classify(X'00')['error'] IS NULL AS lost FROM images a RIGHT JOIN images b ON {on}");
    let run = Run::new(&engine, &format!("SELECT count(*) FROM ({sql}) WHERE lost")).await;
    assert_eq!(run.batches[0].column(0).as_primitive::<Int64Type>().value(0), 0);
}

#[tokio::test]
async fn columns_may_have_the_name_of_a_generated_column() {
    let engine = engine().await;
    let sql = "SELECT t.*, classify(image)['label'] AS label FROM
               (SELECT path, image, 1 AS __infer_1 FROM images WHERE classify(image)['label'] = 'lion') t";
    assert_eq!(Run::new(&engine, sql).await.rows(), 1);
}

#[tokio::test]
async fn explain_runs_nothing_and_loads_no_model() {
    assert_eq!(runs("EXPLAIN SELECT classify(image) FROM images").await, 0);
    for call in ["classify_top_k(image, 3)", "embed(image)", "predict('efficientnet_lite0', image)"] {
        assert_eq!(runs(&format!("EXPLAIN SELECT {call} FROM images")).await, 0);
    }
    assert_eq!(runs("EXPLAIN VERBOSE SELECT path FROM images WHERE classify(image)['label'] = 'x'").await, 0);
}

#[tokio::test]
async fn limit_bounds_the_inferred_rows() {
    let folder = folder_of(1000);
    let from = format!("FROM read_images('{}')", folder.path().display());
    let engine = engine().await;

    let run = Run::new(&engine, &format!("SELECT path, classify(image) {from} LIMIT 3")).await;
    assert_eq!((run.rows(), run.metric("InferExec", "inferred_rows")), (3, 3));

    // The limit stays above the filter on the prediction: rows in flight when it is reached are inferred too.
    let sql = format!("SELECT path {from} WHERE classify(image)['label'] = 'lion' LIMIT 3");
    let run = Run::new(&engine, &sql).await;
    let inferred = run.metric("InferExec", "inferred_rows");
    assert_eq!(run.rows(), 3);
    assert!((3..=48).contains(&inferred), "{inferred} rows inferred for a LIMIT of 3");
}

#[tokio::test]
async fn several_models_share_the_decode_of_an_image() {
    let engine = engine().await;
    let sql = "SELECT classify(image), classify(image, 'efficientnet_lite2') FROM images";
    let run = Run::new(&engine, sql).await;
    assert_eq!(run.metric("InferExec", "decoded_images"), PHOTOS);
    assert_eq!(run.metric("InferExec", "inferred_rows"), 2 * PHOTOS);
}

#[tokio::test]
async fn errors_share_the_decode_of_an_image() {
    let engine = engine().await;
    for sql in [
        "SELECT embed(image), image_error(image) FROM images",
        "SELECT embed(image) FROM images WHERE image_error(image) IS NULL",
        "SELECT path, image_error(image) FROM images WHERE classify(image)['label'] <> ''",
        "SELECT row_number() OVER (ORDER BY embed(image)[1]), image_error(image) FROM images",
        "SELECT i.path, image_error(i.image) FROM images i LEFT JOIN (SELECT 'none' AS l) AS t
           ON classify(i.image)['label'] = t.l",
        "SELECT path FROM images WHERE image_error(image) IS NULL",
    ] {
        let run = Run::new(&engine, sql).await;
        assert_eq!((run.rows(), run.metric("InferExec", "decodes")), (PHOTOS, PHOTOS), "{sql}");
    }
}

#[tokio::test]
async fn errors_share_the_decode_of_a_function() {
    let engine = engine().await;
    for sql in [
        "SELECT thumbnail(image, 64), image_error(image) FROM images",
        "SELECT image_error(image), resize(image, 9, 9) FROM images",
        "SELECT path, crop(image, 0, 0, 9, 9) FROM images WHERE image_error(image) IS NULL",
        "SELECT path, image_error(image) FROM images WHERE phash(image) <> 0",
        "SELECT convert(t.image, 'png') FROM (SELECT image FROM images WHERE image_error(image) IS NULL) AS t",
        "SELECT image_error(t.image), small FROM (SELECT image, thumbnail(image, 9) AS small FROM images) AS t",
        "SELECT draw_boxes(image, make_array(named_struct('x0', 1, 'y0', 1, 'x1', 9, 'y1', 9))), image_error(image)
           FROM images",
        // A model decodes at a scale of its own, which the error then shares.
        "SELECT thumbnail(image, 64), classify(image), image_error(image) FROM images",
        // A function that is not evaluated for every row shares nothing.
        "SELECT CASE WHEN size > 0 THEN thumbnail(image, 64) END, image_error(image) FROM images",
        // Nor does one that decodes nothing, for one of its arguments is NULL.
        "SELECT thumbnail(image, NULL), image_error(image) FROM images",
    ] {
        let run = Run::new(&engine, sql).await;
        let counted = (run.metric("InferExec", "decodes"), run.metric("InferExec", "decoded_images"));
        assert_eq!((run.rows(), counted), (PHOTOS, (PHOTOS, PHOTOS)), "{sql}");
    }
}

#[tokio::test]
async fn an_ensemble_runs_each_member_once_on_one_decode() {
    let engine = engine().await;
    let members = "efficientnet_lite0, efficientnet_lite2";
    for combine in ["max_confidence", "mean"] {
        let create =
            format!("CREATE MODEL {combine} AS ENSEMBLE OF ({members}) OPTIONS (combine '{combine}')");
        engine.sql(&create).await.unwrap();
    }
    let sql =
        "SELECT classify(image, 'mean'), classify_top_k(image, 3, 'mean'), classify(image, 'max_confidence'),
                      classify(image), embed(image, 'efficientnet_lite2') FROM images";
    let run = Run::new(&engine, sql).await;
    assert_eq!(run.metric("InferExec", "decoded_images"), PHOTOS);
    assert_eq!(run.metric("InferExec", "inferred_rows"), 2 * PHOTOS);
    assert_eq!(run.metric("InferExec", "failed_rows"), 0);
}

#[tokio::test]
async fn images_without_a_prediction_are_counted() {
    let folder = folder_of(3);
    std::fs::write(folder.path().join("text.jpg"), "text").unwrap();
    let engine = engine().await;
    let sql = format!(
        "SELECT count(v) FROM (SELECT embed(image) AS v FROM read_images('{}'))",
        folder.path().display()
    );
    let run = Run::new(&engine, &sql).await;
    assert_eq!(run.batches[0].column(0).as_primitive::<Int64Type>().value(0), 3);
    assert_eq!(run.metric("InferExec", "failed_rows"), 1);
}

#[tokio::test]
async fn both_partitions_run_batches() {
    let folder = folder_of(64);
    let engine = engine().await;
    engine
        .sql(&format!(
            "CREATE MODEL pair FROM '{}' OPTIONS (concurrency 2, num_cpus 1)",
            crate::support::home().join("models/efficientnet_lite0/model.onnx").display()
        ))
        .await
        .unwrap();
    let sql =
        format!("SELECT classify(image, 'pair')['label'] FROM read_images('{}')", folder.path().display());
    let run = Run::new(&engine, &sql).await;
    let batches = batches_of_each_partition(&run);
    assert_eq!(batches.len(), 2);
    assert!(batches.iter().all(|batches| *batches > 0), "batches of the partitions: {batches:?}");
    assert_eq!(batches.iter().sum::<usize>(), 64);
}

fn batches_of_each_partition(run: &Run) -> Vec<usize> {
    fn find(plan: &dyn datafusion::physical_plan::ExecutionPlan) -> Option<Vec<usize>> {
        if plan.name() != "InferExec" {
            return plan.children().into_iter().find_map(|child| find(child.as_ref()));
        }
        let metrics = plan.metrics()?;
        let batches = metrics.iter().filter(|metric| metric.value().name() == "batches");
        Some(batches.map(|metric| metric.value().as_usize()).collect())
    }
    find(run.plan.as_ref()).unwrap()
}

#[tokio::test]
async fn metadata_queries_open_no_file_and_width_reads_headers() {
    let engine = engine().await;
    for sql in ["SELECT count(*) FROM images", "SELECT path, size FROM images WHERE size > 1000"] {
        let run = Run::new(&engine, sql).await;
        assert_eq!(run.metric("ImagesExec", "opened_files"), 0, "{sql}");
    }
    let headers = Run::new(&engine, "SELECT width FROM images").await.metric("ImagesExec", "bytes_read");
    let files = Run::new(&engine, "SELECT image FROM images").await.metric("ImagesExec", "bytes_read");
    assert!(headers > 0 && headers * 5 < files, "{headers} bytes for headers, {files} for files");
}
