//! What travels arrives unchanged, and from another version not at all.

use datafusion::physical_plan::empty::EmptyExec;
use datafusion::prelude::SessionContext;
use seequel_cluster::datafusion_proto::physical_plan::DefaultPhysicalProtoConverter;

use super::*;
use crate::cluster::task::messages::{ImagesScan, Join, Parts};
use crate::images::scan::columns;
use crate::model::{Folder, ModelSpec, Onnx};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// What a specification is on another machine.
fn sent(spec: &ModelSpec) -> ModelSpec {
    serde_json::from_str(&serde_json::to_string(spec).unwrap()).unwrap()
}

#[test]
fn specifications_arrive_unchanged_but_for_where_settings_come_from() -> TestResult {
    let classifier = Folder::classifier()?.put("labels.txt", "cat\ndog")?.resolve(&[
        ("labels", "labels.txt"),
        ("mean", "0.485,0.456,0.406"),
        ("std", "0.1,0.3,0.7"),
        ("rescale", "1/255"),
        ("crop_fraction", "0.9"),
        ("device", "cuda:0..1"),
        ("num_gpus", "0.3"),
        ("concurrency", "1..4"),
        ("provider_options", "{\"a\": \"b\"}"),
    ])?;
    let numbers = Onnx::new().input("x", "float32", "b,4").output("y", "float32", "b,1");
    let numbers = Folder::with(&numbers.node("Identity", &["x"], "y"))?.resolve(&[])?;
    for spec in [classifier, numbers] {
        assert!(!spec.settings.is_empty());
        let expected = ModelSpec { settings: vec![], ..spec };
        assert_eq!(sent(&expected), expected);
    }
    Ok(())
}

fn decoded(message: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
    let input: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(columns::table_schema(&[])));
    let context = SessionContext::new().task_ctx();
    let converter = DefaultPhysicalProtoConverter {};
    SeequelCodec::without_models().try_decode(message, &[input], &context, &converter)
}

fn message(version: &str, kind: Option<Kind>) -> Vec<u8> {
    let operator = Operator { version: version.to_owned(), kind };
    [MARK, operator.encode_to_vec().as_slice()].concat()
}

fn fetch(projection: Vec<u32>) -> Kind {
    Kind::Fetch(Box::new(ImagesScan {
        written: "photos/".to_owned(),
        url: "file:///photos/".to_owned(),
        partition_columns: vec!["label".to_owned()],
        projection,
        limit: Some(3),
        ..ImagesScan::default()
    }))
}

#[test]
fn plans_of_another_version_are_refused() -> TestResult {
    let plan = decoded(&message(&version(), Some(fetch(vec![0, 2, 9]))))?;
    let columns: Vec<_> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!((columns.join(" ").as_str(), plan.fetch()), ("path image label", Some(3)));
    let error = decoded(&message("9.0.0 (plans 7)", Some(fetch(vec![0])))).unwrap_err().to_string();
    let expected = "the plan is of Seequel 9.0.0 (plans 7), and this process is Seequel ";
    assert!(error.contains(expected) && error.contains("run the same version"), "{error}");
    Ok(())
}

#[test]
fn damaged_messages_are_refused() {
    for damaged in [
        message(&version(), None),
        message(&version(), Some(fetch(vec![10]))),
        message(&version(), Some(Kind::Infer(Box::default()))),
        message(&version(), Some(Kind::Join(Join::default()))),
        message(&version(), Some(Kind::Parts(Parts::default()))),
        [MARK, b"\xff\xff"].concat(),
    ] {
        let error = decoded(&damaged).unwrap_err().to_string();
        assert!(error.contains("the plan can't be read"), "{error}");
    }
}
