//! Plans from EXPLAIN: which calls are extracted, what moves below inference, which operators surround the models.
//!
//! A changed plan fails here. If the change is intended, `INSTA_UPDATE=always cargo test plans` updates the snapshot.

use datafusion::arrow::array::AsArray;
use datafusion::physical_plan::displayable;
use seequel::Engine;

use crate::support::{Run, engine, home, photos};

async fn sized_engine() -> Engine {
    with_models(engine().await).await
}

/// The engine with a default model that has the same batch size and concurrency on every machine.
pub(crate) async fn with_models(engine: Engine) -> Engine {
    let file = home().join("models/efficientnet_lite0/model.onnx");
    let options = "device 'cpu', batch_size 1, concurrency 2, num_cpus 1";
    for model in ["m", "n"] {
        let create = format!("CREATE MODEL {model} FROM '{}' OPTIONS ({options})", file.display());
        engine.sql(&create).await.unwrap();
    }
    engine.sql("CREATE MODEL both AS ENSEMBLE OF (m, n) OPTIONS (combine 'mean')").await.unwrap();
    engine.sql("SET inference.default_model = 'm'").await.unwrap();
    engine
}

/// The query, its optimized logical plan and its physical plan.
async fn explain(engine: &Engine, sql: &str) -> String {
    let run = Run::new(engine, &format!("EXPLAIN {sql}")).await;
    let plans = run.batches.iter().flat_map(|batch| {
        let plans = batch.column_by_name("plan").unwrap().as_string::<i32>();
        plans.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    });
    let text = format!("{sql}\n\n{}", plans.collect::<Vec<_>>().join("\n"));
    text.replace(&photos().display().to_string(), "PHOTOS")
}

fn assert_plan(name: &str, plan: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, plan);
    });
}

macro_rules! plans {
    ($($(#[doc = $trap:literal])+ $name:ident: $sql:expr;)*) => {
        $($(#[doc = $trap])+
        #[tokio::test]
        async fn $name() {
            let engine = sized_engine().await;
            assert_plan(stringify!($name), &explain(&engine, $sql).await);
        })*

        /// The queries, for tests that run them.
        #[cfg(feature = "cluster")]
        pub(crate) const QUERIES: &[&str] = &[$($sql),*];
    };
}

plans! {
    /// One worker for each session, behind the exchange; the image bytes are dropped above inference.
    select: "SELECT path, classify(image) FROM images";

    /// DataFusion inlines a subquery's expression into each place that reads it.
    subquery_read_twice: "SELECT c['label'], c['confidence'] FROM (SELECT classify(image) AS c FROM images)";

    /// DataFusion pushes a filter on a subquery's expression below the projection that computes it.
    subquery_filtered: "SELECT c FROM (SELECT classify(image) AS c FROM images) WHERE c['label'] = 'cat'";

    /// DataFusion pushes field accesses down as expressions of their own.
    two_fields: "SELECT classify(image)['label'], classify(image)['confidence'] FROM images";

    /// Dots are rewritten before planning: the plan is that of brackets.
    dotted_fields: "SELECT classify(image).label, classify(image).confidence FROM images";

    /// All fields of a column read one prediction.
    all_fields: "SELECT p.* FROM (SELECT classify(image) AS p FROM images) WHERE p.label = 'cat'";

    /// Predicates that need no model move below inference, into the scan; the others stay above.
    cheap_predicate: "SELECT path FROM images WHERE size > 1000 AND classify(image)['label'] = 'cat'";

    /// A filter on header columns needs no model either, but is not pushed into the scan.
    header_predicate: "SELECT path FROM images WHERE classify(image)['label'] = 'cat' AND width > 500";

    /// An OR of both kinds can only be evaluated above inference.
    mixed_disjunction: "SELECT path FROM images WHERE size > 1000 OR classify(image)['label'] = 'cat'";

    /// An error is told by the node that runs the model, and takes no run of its own.
    image_error: "SELECT embed(image), image_error(image) FROM images";

    /// Also where both are in two nodes.
    image_error_in_where: "SELECT path, embed(image) FROM images WHERE image_error(image) IS NULL";

    /// And where one is below a join and the other above.
    image_error_above_a_join: "SELECT i.path, image_error(i.image) FROM images i
        JOIN (VALUES ('lion')) AS t(label) ON classify(i.image)['label'] = t.label";

    /// And where one is below a window.
    image_error_above_a_window: "SELECT row_number() OVER (ORDER BY embed(image)[1]), image_error(image, 'm') FROM images";

    /// A function of the same image is evaluated by the node that tells the error, which decodes nothing for itself.
    image_error_of_a_function: "SELECT thumbnail(image, 256), image_error(image) FROM images";

    /// Also where both are in two nodes.
    image_error_in_where_of_a_function: "SELECT path, thumbnail(image, 256) FROM images WHERE image_error(image) IS NULL";

    /// And where the function is in a subquery.
    image_error_above_a_function: "SELECT t.path, image_error(t.image) FROM
        (SELECT path, image, phash(image) AS hash FROM images) AS t WHERE t.hash <> 0";

    /// Functions of other images, and in branches, stay where they are.
    image_error_of_another_image: "SELECT phash(crop(image, 0, 0, 9, 9)), image_error(image),
        CASE WHEN size > 1000 THEN phash(image) END FROM images";

    /// Inference keeps the number of rows, so LIMIT moves below it.
    limit: "SELECT path, classify(image) FROM images LIMIT 3";

    /// A limit above a filter on the prediction must stay above.
    limit_over_prediction: "SELECT path FROM images WHERE classify(image)['label'] = 'cat' LIMIT 3";

    /// Sorting by a column of the table with a LIMIT: sort, then infer.
    top_k: "SELECT path, classify(image)['label'] FROM images ORDER BY size DESC LIMIT 3";

    /// Sorting by the prediction with a LIMIT: infer, then sort.
    top_k_by_prediction: "SELECT path FROM images ORDER BY classify(image)['confidence'] DESC LIMIT 3";

    /// Sorting all rows sorts results, not image bytes.
    sort: "SELECT path, classify(image) FROM images ORDER BY path";

    /// A sorted input keeps its order: no exchange, several morsels in flight instead.
    sorted_input: "SELECT path, classify(image) FROM (SELECT * FROM images ORDER BY size LIMIT 5)";

    /// DataFusion's async functions don't work in ORDER BY; a node does.
    order_by: "SELECT path FROM images ORDER BY classify(image)['confidence']";

    /// Nor GROUP BY and HAVING.
    group_by: "SELECT classify(image)['label'] AS l, count(*) FROM images GROUP BY l HAVING count(*) > 1";

    /// Nor aggregates with a FILTER of their own.
    aggregate_filter: "SELECT count(*) FILTER (WHERE classify(image)['confidence'] > 0.5) FROM images";

    /// Nor grouping sets.
    rollup: "SELECT classify(image)['label'] AS l, format, count(*) FROM images GROUP BY ROLLUP (l, format)";

    /// The same call in SELECT and in a window's ORDER BY, which are two nodes.
    window: "SELECT classify(image)['label'], row_number() OVER (ORDER BY classify(image)['class']) FROM images";

    /// Calls in ON run on their side of the join.
    join_on: "SELECT a.path FROM images a JOIN images b
              ON classify(a.image)['class'] = classify(b.image)['class'] AND a.path < b.path";

    /// An outer join's condition too.
    left_join_on: "SELECT a.path, b.path FROM images a LEFT JOIN images b
                   ON a.path = b.path AND classify(b.image)['confidence'] > 0.5";

    /// An uncorrelated subquery runs its own models.
    in_subquery: "SELECT path FROM images WHERE classify(image)['class'] IN
                  (SELECT classify(image)['class'] FROM images WHERE size > 1000)";

    /// The sides of a union keep their columns.
    union: "SELECT classify(image) FROM images UNION ALL SELECT classify(image, 'n') FROM images";

    /// DISTINCT ignores hidden columns.
    distinct: "SELECT DISTINCT classify(image)['label'] FROM images";

    /// Two models over one image are one node, and one decode.
    two_models: "SELECT classify(image, 'm'), classify(image, 'n') FROM images";

    /// Different requests to one model over one image are one node, which runs the model once.
    requests_of_one_model: "SELECT classify(image), classify_top_k(image, 3), embed(image) FROM images";

    /// An ensemble is shown in a plan with its members.
    ensemble: "SELECT classify(image, 'both')['label'] FROM images";

    /// A list that is unnested and filtered.
    unnest: "SELECT path, c['label'] FROM (SELECT path, unnest(classify_top_k(image, 3)) AS c FROM images)
             WHERE c['confidence'] > 0.2";

    /// predict returns a struct whose fields are read by name.
    predict: "SELECT predict('m', image)['logits'] FROM images";

    /// Small rows keep DataFusion's row groups.
    copy_of_small_rows: "COPY (SELECT path, classify(image) FROM images) TO 'labels.parquet'";

    /// So do rows whose options set the size of a row group.
    copy_with_options: "COPY (SELECT image FROM images) TO 'images.parquet' OPTIONS (max_row_group_size 100)";

    /// A call around another call: DataFusion's async functions reject that; here it becomes two stacked nodes.
    nested: "SELECT classify(CASE classify(image)['label'] WHEN 'lion' THEN image END, 'n')['label'] FROM images";

    /// Different calls in different aggregates get different columns.
    two_aggregates: "SELECT min(classify(image)['class']), max(classify(image, 'n')['class']) FROM images";

    /// DataFusion can't decorrelate through nodes it does not know, so this is extracted after it has.
    correlated: "SELECT path FROM images i WHERE
                 (SELECT max(classify(o.image)['label']) FROM images o WHERE o.path = i.path) = 'lion'";

    /// An unused prediction is not computed.
    unread: "SELECT count(*) FROM (SELECT classify(image) FROM images)";

    /// Branches of CASE are evaluated only for the rows that take them, so their calls are not extracted.
    case_branch: "SELECT CASE WHEN size > 1000 THEN classify(image)['label'] END FROM images";

    /// Calls in lazy arguments are not extracted, unless the same call is computed anyway.
    coalesce: "SELECT coalesce(classify(image)['label'], classify(image, 'n')['label']) FROM images";
}

/// Large rows are written in row groups bounded in bytes, rather than in groups of a million rows.
#[tokio::test]
async fn copy_of_large_rows() {
    let engine = sized_engine().await;
    let sql = "COPY (SELECT path, embed(image) AS vector FROM images ORDER BY path) TO 'vectors.parquet'";
    let plan = explain(&engine, sql).await;
    // The order of options is not fixed.
    let (size, parallel) =
        ("format.max_row_group_bytes 33554432", "format.allow_single_file_parallelism false");
    let plan = plan.replace(&format!("{parallel}, {size}"), &format!("{size}, {parallel}"));
    assert_plan("copy_of_large_rows", &plan);
}

/// DataFusion would push a function of one column into a Parquet scan, and its partitioning rules would assign a file
/// with few rows to one thread.
#[tokio::test]
async fn parquet() {
    let engine = sized_engine().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("photos.parquet").display().to_string();
    Run::new(&engine, &format!("COPY (SELECT path, image FROM images) TO '{file}'")).await;
    let plan = explain(&engine, &format!("SELECT classify(image)['label'] FROM '{file}'")).await;
    let plan = plan.replace(&file, "FILE").replace(file.trim_start_matches('/'), "FILE");
    assert_plan("parquet", &plan);
}

/// The statistics of a table of images come from its listing and the files' headers, in one aggregation.
#[tokio::test]
async fn summarize_reads_headers() {
    let engine = sized_engine().await;
    let plan = engine.sql("SUMMARIZE images").await.unwrap().create_physical_plan().await.unwrap();
    let plan = displayable(plan.as_ref()).indent(false).to_string();
    assert!(plan.contains("reads=headers") && !plan.contains("image@"), "{plan}");
    assert_eq!(plan.matches("ImagesExec").count(), 1, "{plan}");
}

#[tokio::test]
async fn optimization_is_idempotent() {
    let engine = sized_engine().await;
    let sql = "SELECT path, classify(image)['label'] FROM images WHERE classify(image)['confidence'] > 0.5 AND size > 1";
    let once = engine.sql(sql).await.unwrap().into_optimized_plan().unwrap();
    let twice = engine.context().state().optimize(&once).unwrap();
    assert_eq!(once.display_indent().to_string(), twice.display_indent().to_string());
}

#[tokio::test]
async fn physical_schema_equals_the_logical_schema() {
    let engine = sized_engine().await;
    let frame =
        engine.sql("SELECT classify(image), classify(image)['label'] AS l, path FROM images").await.unwrap();
    let planned = frame.schema().as_arrow().clone();
    let run = frame.create_physical_plan().await.unwrap();
    assert_eq!(run.schema().fields(), planned.fields());
    assert_eq!(planned.field(0).name(), "classify(image)");
}
