//! What travels arrives unchanged, and from another version not at all.

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::prelude::SessionContext;
use seequel_cluster::datafusion_proto::physical_plan::{AsExecutionPlan, DefaultPhysicalProtoConverter};
use seequel_cluster::datafusion_proto::protobuf::PhysicalPlanNode;

use super::*;
use crate::SeequelExt;
use crate::cluster::task::messages::{Call, CallInExpr, ImagesScan, Join, Parts, version};
use crate::cluster::task::models_of;
use crate::images::scan::columns;
use crate::model::{CreateModel, Folder, ModelRegistry, ModelSpec, Onnx};

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

/// A query with a call in a branch of CASE, of a model in `folder`.
async fn lazy_plan(
    folder: &Folder,
) -> std::result::Result<Arc<dyn ExecutionPlan>, Box<dyn std::error::Error>> {
    let registry = Arc::new(ModelRegistry::new(folder.path()));
    let create = CreateModel::new("m", folder.path().join("model.onnx").display().to_string());
    registry.create(&create)?;
    let state = SessionStateBuilder::new().with_default_features().with_seequel(&registry).build();
    let context = SessionContext::new_with_state(state);
    let columns = Schema::new(vec![
        Field::new("image", DataType::Binary, true),
        Field::new("size", DataType::Int64, true),
    ]);
    context.register_table("t", Arc::new(MemTable::try_new(Arc::new(columns), vec![vec![]])?))?;
    let sql = "SELECT CASE WHEN size > 1 THEN classify_top_k(image, 3, 'm') END AS p FROM t";
    Ok(context.sql(sql).await?.create_physical_plan().await?)
}

#[tokio::test]
async fn calls_in_expressions_arrive_with_their_model() -> TestResult {
    let folder = Folder::classifier()?;
    let plan = lazy_plan(&folder).await?;
    let converter = ClientConverter::new("the secret");
    let client = SeequelCodec::of_client("the secret".to_owned());
    let sent = converter.execution_plan_to_proto(&plan, &client)?;
    let files = converter.into_files();
    assert_eq!(files.len(), 1);
    assert!(files[0].path.ends_with("model.onnx"), "{files:?}");

    // A scheduler passes on what it got, and tells executors which model they will need.
    let (scheduler, context) = (SeequelCodec::without_models(), SessionContext::new().task_ctx());
    let arrived = sent.try_into_physical_plan(&context, &scheduler)?;
    let passed = PhysicalPlanNode::try_from_physical_plan(Arc::clone(&arrived), &scheduler)?;
    assert!(passed == sent);
    assert_eq!(models_of(&arrived).len(), 1);
    assert_eq!(
        displayable(arrived.as_ref()).one_line().to_string(),
        displayable(plan.as_ref()).one_line().to_string()
    );

    // Of a session's own models only the client's converter knows what they are.
    let error = PhysicalPlanNode::try_from_physical_plan(plan, &client).unwrap_err().to_string();
    assert!(error.contains("can't run on a cluster"), "{error}");
    let other = CallInExpr { version: "9.0.0 (plans 7)".to_owned(), call: None }.encode_to_vec();
    let error = scheduler.try_decode_udf("classify", &[MARK, &other].concat()).unwrap_err().to_string();
    assert!(error.contains("the plan is of Seequel 9.0.0 (plans 7)"), "{error}");
    for damaged in [
        CallInExpr { version: version(), call: None },
        CallInExpr { version: version(), call: Some(Call::default()) },
    ] {
        let message = [MARK, &damaged.encode_to_vec()].concat();
        let error = scheduler.try_decode_udf("classify", &message).unwrap_err().to_string();
        assert!(error.contains("the plan can't be read"), "{error}");
    }
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
