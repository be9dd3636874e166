//! Functions as expressions of the DataFrame API.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::dataframe::DataFrame;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::functions_nested::expr_ext::IndexAccessor;
use datafusion::logical_expr::{Expr, when};
use datafusion::prelude::{SessionContext, col, lit};
use seequel::SeequelExt;
use seequel::functions::{
    classify, classify_top_k, classify_top_k_with, classify_with, convert, convert_with_quality,
    cosine_similarity, crop, crop_edges, detect_with, embed, embed_with, hamming_distance, image_info,
    inner_product, l2_distance, phash, predict, resize, thumbnail,
};
use seequel::model::{CreateEnsemble, CreateModel, ModelRegistry};

use super::small_model;
use crate::support::{home, photos, two_partitions};

struct Session {
    models: Arc<ModelRegistry>,
    ctx: SessionContext,
}

impl Session {
    fn new() -> Self {
        let models = Arc::new(ModelRegistry::new(home()));
        let state = SessionStateBuilder::new()
            .with_config(two_partitions())
            .with_default_features()
            .with_seequel(&models)
            .build();
        Self { models, ctx: SessionContext::new_with_state(state) }
    }

    async fn photos(&self, pattern: &str) -> DataFrame {
        let sql = format!("SELECT * FROM read_images('{}/{pattern}')", photos().display());
        self.ctx.sql(&sql).await.unwrap()
    }

    /// One photo, a lion's.
    async fn lion(&self, expr: Expr) -> RecordBatch {
        let batches = self.photos("lion.jpg").await.select(vec![expr]).unwrap().collect().await.unwrap();
        batches.into_iter().find(|batch| batch.num_rows() > 0).unwrap()
    }

    async fn size(&self, image: Expr) -> String {
        let info = image_info(image);
        let width = self.text(info.clone().field("width")).await;
        format!("{width} {}", self.text(info.field("height")).await)
    }

    async fn text(&self, expr: Expr) -> String {
        let batch = self.lion(expr.alias("value")).await;
        let table = pretty_format_batches(&[batch]).unwrap().to_string();
        table.lines().nth(3).unwrap().trim_matches(['|', ' ']).to_owned()
    }
}

#[tokio::test]
async fn a_model_runs_once_for_all_uses_of_a_call() {
    let session = Session::new();
    let label = || classify(col("image")).field("label");
    let espressos = session.photos("").await.filter(label().eq(lit("espresso"))).unwrap();
    let espressos = espressos.select(vec![col("path"), label().alias("label")]).unwrap();
    let rows = espressos.collect().await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!(rows, 1);
    assert_eq!(session.models.get("efficientnet_lite0").unwrap().inferred_rows(), 20);
}

#[tokio::test]
async fn calls_without_a_model_use_the_default_of_the_session() {
    let session = Session::new();
    session.ctx.sql("SET inference.default_model = 'efficientnet_lite2'").await.unwrap();
    assert_eq!(session.text(classify(col("image")).field("model")).await, "efficientnet_lite2");
    let named = classify_with(col("image"), "efficientnet_lite0");
    assert_eq!(session.text(named.field("model")).await, "efficientnet_lite0");
}

#[tokio::test]
async fn calls_in_branches_are_bound_to_the_session_too() {
    let session = Session::new();
    let mut branch = when(col("size").gt(lit(0)), classify(col("image")).field("label"));
    assert_eq!(session.text(branch.otherwise(lit("empty")).unwrap()).await, "lion");
}

#[tokio::test]
async fn every_inference_function_has_an_expression() {
    let session = Session::new();
    let boxes = CreateModel::new("boxes", small_model("yolov8.onnx"));
    let boxes = boxes.with_option("task", "object-detection").with_option("labels", r#"["cat", "dog"]"#);
    session.models.create(&boxes.with_option("resize", "stretch")).unwrap();
    let both = CreateEnsemble::new("both", ["efficientnet_lite0", "efficientnet_lite2"]);
    session.models.create_ensemble(&both.with_option("combine", "mean")).unwrap();

    let best = |top: Expr| session.text(top.index(lit(1)).field("label"));
    assert_eq!(best(classify_top_k(col("image"), 3)).await, "lion");
    assert_eq!(best(classify_top_k_with(col("image"), 3, "both")).await, "lion");
    let objects = datafusion::functions_nested::expr_fn::array_length(detect_with(col("image"), "boxes"));
    assert_ne!(session.text(objects).await, "0");
    let outputs = predict(&session.ctx, "efficientnet_lite0", vec![col("image")]).unwrap();
    let logits = session.lion(outputs.field("logits")).await;
    assert_eq!(logits.column(0).as_fixed_size_list().value_length(), 1000);
}

/// The type of an expression must not change during planning.
#[tokio::test]
async fn embeddings_are_lists_from_the_start() {
    let session = Session::new();
    let vectors = session.photos("lion.jpg").await.select(vec![embed(col("image")).alias("v")]).unwrap();
    let planned = vectors.schema().field(0).data_type().clone();
    let batch = vectors.collect().await.unwrap().swap_remove(0);
    assert!(matches!(planned, DataType::List(_)), "{planned}");
    assert_eq!(*batch.column(0).data_type(), planned);
    assert_eq!(batch.column(0).as_list::<i32>().value(0).len(), 1280);

    let same = cosine_similarity(embed(col("image")), embed_with(col("image"), "efficientnet_lite0"));
    let same: f64 = session.text(same).await.parse().unwrap();
    assert!((same - 1.0).abs() < 1e-5, "{same}");
}

#[tokio::test]
async fn image_and_vector_functions_have_expressions() {
    let session = Session::new();
    assert_eq!(session.size(resize(col("image"), lit(64), lit(32))).await, "64 32");
    let small = session.size(thumbnail(col("image"), lit(50))).await;
    assert!(small.starts_with("50 ") || small.ends_with(" 50"), "{small}");
    let corner = crop_edges(col("image"), lit(0), lit(0), lit(40), lit(30));
    assert_eq!(session.size(corner).await, "40 30");
    let edges = ["x0", "y0", "x1", "y1"].into_iter().zip([0, 0, 20, 10]);
    let edges = edges.flat_map(|(name, edge)| [lit(name), lit(edge)]).collect();
    let edges = datafusion::functions::core::expr_fn::named_struct(edges);
    assert_eq!(session.size(crop(col("image"), edges)).await, "20 10");
    let format = |image| session.text(image_info(image).field("format"));
    assert_eq!(format(convert(col("image"), lit("webp"))).await, "webp");
    assert_eq!(format(convert_with_quality(col("image"), lit("jpeg"), lit(20))).await, "jpeg");
    let distance = hamming_distance(phash(col("image")), phash(convert(col("image"), lit("png"))));
    assert!(session.text(distance).await.parse::<u32>().unwrap() <= 4);
    let vector = |x, y| datafusion::functions_nested::expr_fn::make_array(vec![lit(x), lit(y)]);
    assert_eq!(session.text(inner_product(vector(1.0, 2.0), vector(3.0, 4.0))).await, "11.0");
    assert_eq!(session.text(l2_distance(vector(0.0, 0.0), vector(3.0, 4.0))).await, "5.0");
}

#[tokio::test]
async fn errors_are_those_of_the_functions() {
    let session = Session::new();
    let photos = session.photos("lion.jpg").await;
    let error = photos.clone().select(vec![classify(col("path"))]).unwrap_err().to_string();
    assert!(error.contains("classify(image [, model]): image must be the bytes"), "{error}");
    let unknown = photos.select(vec![classify_with(col("image"), "resnet")]).unwrap();
    let error = unknown.collect().await.unwrap_err().to_string();
    assert!(error.contains("there is no model 'resnet'"), "{error}");

    let plain = SessionContext::new();
    let rows = plain.sql("SELECT CAST('an image' AS BYTEA) AS image").await.unwrap();
    let error = rows.select(vec![classify(col("image"))]).unwrap().collect().await.unwrap_err().to_string();
    assert!(error.contains("the session has no models") && error.contains("with_seequel"), "{error}");
}
