//! Models, from an application.

use std::sync::Arc;

use seequel::model::{CreateEnsemble, CreateModel};

use super::small_model;
use crate::support::{engine, home, photos};

#[tokio::test]
async fn models_are_created_without_sql() {
    let engine = engine().await;
    let models = engine.models();
    let lite0 = home().join("models/efficientnet_lite0/model.onnx").display().to_string();
    let create = CreateModel::new("mine", lite0).with_option("batch_size", "4");
    models.create(&create).unwrap();
    assert_eq!(models.get("mine").unwrap().sizing().unwrap().batch_rows, 4);
    let error = models.create(&create).unwrap_err().to_string();
    assert!(error.contains("there is one of that name"), "{error}");
    let first = models.get("mine").unwrap();
    models.create(&create.clone().with_if_not_exists(true)).unwrap();
    assert_eq!(models.get("mine").unwrap(), first);
    models.create(&create.with_or_replace(true).with_option("batch_size", "2")).unwrap();
    assert_eq!(models.get("mine").unwrap().sizing().unwrap().batch_rows, 2);

    let both = CreateEnsemble::new("both", ["mine", "efficientnet_lite2"]);
    models.create_ensemble(&both.clone().with_option("combine", "vote")).unwrap();
    models.create_ensemble(&both.clone().with_if_not_exists(true)).unwrap();
    models.create_ensemble(&both.with_or_replace(true).with_option("combine", "mean")).unwrap();
    assert_eq!(models.predictor("both").unwrap().members().len(), 2);
}

#[tokio::test]
async fn unloaded_models_free_their_sessions_and_load_again() {
    let engine = engine().await;
    engine.models().create(&CreateModel::new("small", small_model("shares.onnx"))).unwrap();
    engine.sql("CREATE MODEL both AS ENSEMBLE OF (efficientnet_lite0, efficientnet_lite2)").await.unwrap();
    let model = engine.models().get("efficientnet_lite0").unwrap();
    let classify = async |name: &str| {
        let sql = format!("SELECT classify(image, '{name}') FROM read_images('{}/l*')", photos().display());
        engine.sql(&sql).await.unwrap().collect().await.unwrap();
    };
    assert_eq!((model.loaded_sessions(), model.memory_bytes()), (0, 0));
    classify("both").await;
    let (sessions, bytes) = (model.loaded_sessions(), model.memory_bytes());
    assert!(sessions >= 1 && sessions <= model.sizing().unwrap().sessions, "{sessions}");
    assert!(bytes > 10 << 20, "{bytes}");

    engine.models().unload("both").unwrap();
    assert_eq!((model.loaded_sessions(), model.memory_bytes()), (0, 0));
    assert_eq!(engine.models().get("efficientnet_lite2").unwrap().loaded_sessions(), 0);
    classify("both").await;
    assert!(model.loaded_sessions() >= 1, "models are loaded again when they are needed");

    engine.models().unload("small").unwrap();
    let error = engine.models().unload("large").unwrap_err().to_string();
    assert!(error.contains("there is no model 'large'"), "{error}");
    assert_eq!(Arc::strong_count(&engine.models().get("small").unwrap()), 2, "the registry's and this one");
}

#[tokio::test]
async fn application_can_ask_what_a_model_assumes() {
    let engine = engine().await;
    let file = small_model("shares.onnx");
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
