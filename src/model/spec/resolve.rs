//! Resolves `CREATE MODEL` to a [`ModelSpec`]: reads the files, resolves every option and checks the result.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::model_spec::ModelSpec;
use super::resources::Resources;
use crate::Result;
use crate::model::input::{ModelInput, fixed_batch};
use crate::model::onnx::{Dim, Graph, Port};
use crate::model::settings::{
    MAX_MODEL_BYTES, Settings, Source, keyword, locate, push_layers, read_bounded, text,
};
use crate::tasks::detection::Detector;
use crate::tasks::{Background, EmbeddingSpec, FoundLabels, OutputSpec, Task, labels};

impl ModelSpec {
    /// Reads an ONNX file and the files beside it, and resolves every option.
    ///
    /// `file` is the ONNX file or its folder; `options` are the OPTIONS of the statement, which override the files.
    /// Nothing is loaded into ONNX Runtime.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error) or [`Error::Option`](crate::Error) if the model can't run: a
    /// file is missing or of another type, an option is unknown, malformed or contradicts the graph.
    pub fn resolve(name: &str, file: &Path, options: &BTreeMap<String, String>) -> Result<Self> {
        let mut settings = Settings::new(name);
        let file = locate(file).map_err(|reason| settings.model_error(reason))?;
        push_layers(&mut settings, &file, options)?;
        let (graph, sha256) = read_graph(&mut settings, &file)?;
        let weight_files: Vec<_> = graph.weight_files.iter().map(|name| file.with_file_name(name)).collect();
        let external_bytes = weight_files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        let inputs = ModelInput::resolve_all(&mut settings, &graph)?;
        let fixed_batch = fixed_batch(&settings, &graph)?;
        let image = inputs.iter().find_map(|input| match input {
            ModelInput::Image(image) => Some(&image.input),
            ModelInput::Numbers(_) => None,
        });
        let given_labels = given_labels(&settings, &graph, &file);
        let task = Task::resolve(&mut settings, &graph, image.is_some(), given_labels)?;
        let labels = resolve_labels(&mut settings, &file, &task)?;
        let output = OutputSpec::resolve(&mut settings, &graph, &task, &labels)?;
        let embedding = EmbeddingSpec::resolve(&mut settings, &graph, &task, &output)?;
        if image.is_none() {
            settings.leave_out(&["embedding"]);
        }
        let detector = Detector::resolve(&mut settings, &graph, &task, &output, image)?;
        let resources = Resources::resolve(&mut settings, fixed_batch, graph.is_quantized())?;
        Ok(Self {
            name: name.to_string(),
            file,
            sha256,
            weight_files,
            external_bytes,
            dense_bytes: graph.dense_bytes,
            task,
            inputs,
            fixed_batch,
            output,
            embedding,
            detector,
            nodes: graph.nodes(),
            graph_inputs: graph.inputs,
            graph_outputs: graph.outputs.clone(),
            outputs: graph.outputs.into_iter().filter(|port| port.arrow_type().is_some()).collect(),
            labels: labels.labels,
            resources,
            settings: settings.into_resolved(),
        })
    }
}

/// Reads the ONNX file's outline and digest, and checks the digest and the external weight files.
fn read_graph(settings: &mut Settings<'_>, file: &Path) -> Result<(Graph, String)> {
    let bytes = read_bounded(file, MAX_MODEL_BYTES).map_err(|reason| settings.model_error(reason))?;
    let sha256 = resolve_sha256(settings, file, &bytes)?;
    let graph = Graph::read(bytes).map_err(|reason| {
        settings.model_error(format!("'{}' is not an ONNX file: {reason}", file.display()))
    })?;
    let missing = graph.weight_files.iter().find(|name| !file.with_file_name(name).is_file());
    match missing {
        Some(name) => {
            let reason =
                format!("there is no file '{name}' beside '{}', which keeps weights there", file.display());
            Err(settings.model_error(reason))
        }
        None => Ok((graph, sha256)),
    }
}

/// Computes the digest of the ONNX file in lower-case hex and compares it with the option `sha256`.
fn resolve_sha256(settings: &mut Settings<'_>, file: &Path, bytes: &[u8]) -> Result<String> {
    let mut actual = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string never fails.
        let _ = write!(actual, "{byte:02x}");
    }
    let expected = settings.get("sha256", |value, _| text(value))?;
    let (expected, source) = expected.unwrap_or_else(|| (actual.clone(), Source::Graph));
    if !expected.eq_ignore_ascii_case(&actual) {
        let reason = format!("'{}' has digest {actual}, not {expected}", file.display());
        return Err(settings.option_error("sha256", &reason));
    }
    settings.note("sha256", &actual, source);
    Ok(actual)
}

/// The number of labels, as evidence of a classifier: from OPTIONS or `seequel.json`, or from a weaker file if an output
/// has that many numbers. Errors are left to [`resolve_labels`].
fn given_labels(settings: &Settings<'_>, graph: &Graph, file: &Path) -> Option<usize> {
    let read = |value: &Value, source: &Source| labels::read(value, source, file);
    let (found, source) = settings.get("labels", read).ok()??;
    let count = found.labels.len();
    let fits = |port: &Port| port.row_dims().and_then(<[Dim]>::first).and_then(Dim::fixed) == Some(count);
    let is_ours = matches!(source, Source::Options | Source::SeequelJson);
    (is_ours || graph.outputs.iter().any(fits)).then_some(count)
}

/// Reads the labels, unless the task has no classes, and adds the background class.
fn resolve_labels(settings: &mut Settings<'_>, file: &Path, task: &Task) -> Result<FoundLabels> {
    if *task == Task::FeatureExtraction {
        return Ok(FoundLabels::default());
    }
    let found = settings.get("labels", |value, source| labels::read(value, source, file))?;
    let background = settings.resolve("background", keyword, Background::None)?;
    let resolved = match found {
        Some((found, source)) => {
            settings.note("labels", &format!("{} in {}", found.labels.len(), found.place), source);
            found.beside(background)
        }
        None => {
            settings.note("labels", &"class numbers", Source::Default);
            settings.leave_out(&["background"]);
            FoundLabels::default()
        }
    };
    if matches!(task, Task::Other(_)) {
        settings.leave_out(&["labels", "background"]);
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::Layout;
    use crate::model::onnx::Element;
    use crate::model::spec::Precision;
    use crate::model::{Folder, Onnx};
    use crate::tasks::Activation;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    /// `DESCRIBE MODEL` as lines.
    fn describe(spec: &ModelSpec) -> String {
        let lines =
            spec.settings.iter().map(|line| format!("{:17}{:26}{}", line.name, line.value, line.origin()));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_setting_is_described_with_its_source() -> TestResult {
        let folder = Folder::classifier()?
            .put("labels.txt", "cat\ndog\n")?
            .put(
                "seequel.json",
                r#"{"$schema": "x", "labels": "labels.txt", "mean": null, "concurrency": 2}"#,
            )?
            .put(
                "preprocessor_config.json",
                r#"{"image_mean": [0.485, 0.456, 0.406], "resample": 2, "size": 224}"#,
            )?
            .put(
                "config.json",
                r#"{"architectures": ["ViTForImageClassification"], "id2label": {"0": "a"}}"#,
            )?;
        let digest = folder.resolve(&[])?.sha256;
        let spec = folder.resolve(&[("Interpolation", "nearest"), ("sha256", &digest.to_uppercase())])?;
        insta::assert_snapshot!(describe(&spec).replace(&digest, &format!("{:26}", "<digest>")), @r"
        task             image-classification      config.json
        input_size       224x224                   preprocessor_config.json
        layout           NCHW                      ONNX file
        channels         RGB                       preprocessor_config.json
        rescale          0.003921569               default
        mean             0.485,0.456,0.406         preprocessor_config.json
        std              1                         default
        resize           stretch                   preprocessor_config.json
        interpolation    nearest                   OPTIONS
        labels           2 in labels.txt           seequel.json
        background       none                      default
        activation       softmax                   default
        output           logits                    ONNX file
        sha256           <digest>                  OPTIONS
        device           auto                      default
        batch_size       auto                      default
        concurrency      2                         seequel.json
        num_cpus         auto                      default
        num_gpus         auto                      default
        precision        f32                       default
        provider_options {}                        default
        ");
        assert_eq!(spec.file, folder.path().join("model.onnx"));
        assert_eq!((spec.labels.get(1).as_ref(), spec.output.classes), ("dog", 2));
        assert_eq!(spec.image().unwrap().preprocessing.mean, [0.485, 0.456, 0.406]);
        Ok(())
    }

    #[test]
    fn background_class_is_added_to_the_labels() -> TestResult {
        let folder = Folder::with(&Onnx::classifier("b,3,224,224", 3))?.put("labels.txt", "cat\ndog")?;
        let names = |background| -> Result<Vec<String>> {
            let spec = folder.resolve(&[("labels", "labels.txt"), ("background", background)])?;
            Ok((0..3).map(|class| spec.labels.get(class).into_owned()).collect())
        };
        assert_eq!(names("first")?, ["background", "cat", "dog"]);
        assert_eq!(names("last")?, ["cat", "dog", "background"]);
        let error = Folder::classifier()?.put("labels.txt", "cat\ndog")?;
        let error = error.error(&[("labels", "labels.txt"), ("background", "first")]);
        let expected = "labels.txt with the background has 3 labels but output 'logits' has 2 classes";
        assert_eq!(error, format!("model 'm': option 'labels': {expected}"));
        Ok(())
    }

    #[test]
    fn onnx_file_alone_is_sufficient() -> TestResult {
        let spec = Folder::classifier()?.resolve(&[])?;
        let input = &spec.image().unwrap().input;
        assert_eq!((&spec.task, spec.output.activation), (&Task::ImageClassification, Activation::Softmax));
        assert_eq!((input.layout, input.element), (Layout::Nchw, Element::F32));
        assert_eq!((input.width, input.height, spec.labels.len()), (224, 224, 0));
        let from_graph = spec.settings.iter().filter(|setting| setting.source == Source::Graph);
        let from_graph = from_graph.map(|setting| setting.name).collect::<Vec<_>>();
        assert_eq!(from_graph, ["task", "input_size", "layout", "output", "sha256"]);
        Ok(())
    }

    #[test]
    fn embedding_ignores_output_settings_of_a_classifier() -> TestResult {
        let onnx = Onnx::classifier("batch,3,224,224", 2).output("features", "float32", "batch,64");
        let classifier = r#"{
            "task": "image-classification", "labels": ["cat", "dog"], "activation": "softmax", "output": "logits",
            "mean": 127
        }"#;
        let folder = Folder::with(&onnx)?.put("seequel.json", classifier)?;
        let spec = folder.resolve(&[("task", "feature-extraction"), ("output", "features")])?;
        assert_eq!(
            (spec.output.classes, spec.output.activation, spec.labels.len()),
            (64, Activation::None, 0)
        );
        assert_eq!(spec.image().unwrap().preprocessing.mean, [127.0; 3]);
        Ok(())
    }

    #[test]
    fn missing_model_is_rejected() -> TestResult {
        let missing = ModelSpec::resolve("m", Path::new("no/such.onnx"), &BTreeMap::new());
        let expected = "model 'm': there is no file 'no/such.onnx'";
        assert_eq!(missing.map_err(|error| error.to_string()), Err(expected.to_string()));
        let empty = tempfile::tempdir()?;
        let missing = ModelSpec::resolve("m", empty.path(), &BTreeMap::new());
        let (folder, hint) = (empty.path().display(), "name the file");
        let expected =
            format!("model 'm': folder '{folder}' has neither model.onnx nor onnx/model.onnx; {hint}");
        assert_eq!(missing.map_err(|error| error.to_string()), Err(expected));
        Ok(())
    }

    #[test]
    fn non_onnx_file_is_rejected() -> TestResult {
        let pointer = "version https://git-lfs.example/spec/v1\noid sha256:00\nsize 1\n";
        let errors = [
            Folder::classifier()?.put("model.onnx", "<html></html>")?.error(&[]),
            Folder::classifier()?.put("model.onnx", pointer)?.error(&[]),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': 'model.onnx' is not an ONNX file: failed to decode Protobuf message: ModelProto.graph: invalid wire type: EndGroup (expected LengthDelimited)
        model 'm': 'model.onnx' is not an ONNX file: it is a Git LFS pointer; fetch the file with 'git lfs pull'
        ");
        Ok(())
    }

    #[test]
    fn external_weight_file_must_exist() -> TestResult {
        let folder =
            Folder::with(&Onnx::classifier("b,3,224,224", 2).weight_in_file("w", "model.onnx_data"))?;
        let expected =
            "model 'm': there is no file 'model.onnx_data' beside 'model.onnx', which keeps weights there";
        assert_eq!(folder.error(&[]), expected);
        assert!(folder.put("model.onnx_data", "")?.resolve(&[]).is_ok());
        Ok(())
    }

    #[test]
    fn options_are_checked_against_the_file() -> TestResult {
        let folder = Folder::classifier()?;
        let digest = folder.resolve(&[])?.sha256;
        let errors = [
            folder.error(&[("sha256", "00")]).replace(&digest, "<digest>"),
            folder.error(&[("batchsize", "8")]),
            folder.error(&[("labels", r#"["cat"]"#)]),
            folder.error(&[("task", "image-clasification")]),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': option 'sha256': 'model.onnx' has digest <digest>, not 00
        model 'm': option 'batchsize': unknown option; did you mean 'batch_size'?
        model 'm': option 'labels': the list has 1 label but output 'logits' has 2 classes; if one of them is the background, set background to 'first' or 'last'
        model 'm': option 'task': 'image-clasification' is no task; did you mean 'image-classification'?
        ");
        Ok(())
    }

    #[test]
    fn int8_needs_a_quantized_graph() -> TestResult {
        let precision = [("precision", "int8")];
        let graph = |operator| {
            let onnx = Onnx::new().input("x", "float32", "b,4").node(operator, &["x"], "y");
            Folder::with(&onnx.output("y", "float32", "b,3"))
        };
        assert!(graph("Gemm")?.error(&precision).contains("CREATE MODEL … AS QUANTIZED"));
        for operator in ["DequantizeLinear", "QLinearMatMul", "MatMulInteger"] {
            assert_eq!(graph(operator)?.resolve(&precision)?.resources.precision, Precision::Int8);
        }
        Ok(())
    }
}
