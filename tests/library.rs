//! Seequel as a library: the example runs, and an application's own session works with the DataFrame API.

use std::process::Command;
use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::SessionContext;
use seequel::SeequelExt;
use seequel::model::ModelRegistry;

use crate::support::process::example_binary;
use crate::support::{engine, home, photos};

#[test]
fn the_example_runs() {
    let output = Command::new(example_binary("embed")).arg(home()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().any(|line| line.contains("coffee.png") && line.contains("espresso")), "{text}");
    assert!(text.contains("| photos |"), "{text}");
}

#[tokio::test]
async fn classify_works_in_the_dataframe_api() {
    let models = Arc::new(ModelRegistry::new(home()));
    let state = SessionStateBuilder::new().with_default_features().with_seequel(&models).build();
    let ctx = SessionContext::new_with_state(state);
    let classify = ctx.udf("classify").unwrap();

    let images = ctx.sql(&format!("SELECT * FROM read_images('{}')", photos().display())).await.unwrap();
    let label = datafusion::functions::core::expr_fn::get_field(classify.call(vec![col("image")]), "label");
    let espressos = images.filter(label.clone().eq(lit("espresso"))).unwrap();
    let espressos =
        espressos.select(vec![col("path"), label.alias("label")]).unwrap().collect().await.unwrap();

    assert_eq!(espressos.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    assert_eq!(models.get("efficientnet_lite0").unwrap().inferred_rows(), 20);
}

#[tokio::test]
async fn application_can_ask_what_a_model_assumes() {
    let engine = engine().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models/shares.onnx");
    engine.sql(&format!("CREATE MODEL m FROM '{file}' OPTIONS (mean '127', std '128')")).await.unwrap();
    let model = engine.models().get("m").unwrap();
    let assumed: Vec<_> =
        model.spec().assumed().map(|setting| (setting.name, setting.value.as_str())).collect();
    let expected = [
        ("channels", "RGB"),
        ("rescale", "1"),
        ("resize", "crop"),
        ("crop_fraction", "0.875"),
        ("interpolation", "bicubic"),
        ("labels", "class numbers"),
    ];
    assert_eq!(assumed, expected);
    assert!(engine.models().get("efficientnet_lite0").unwrap().spec().assumptions().is_none());
}
