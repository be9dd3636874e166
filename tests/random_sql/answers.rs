//! Two engines of the same names: one has a folder of photos and models, the other a Parquet file with the answers.
//!
//! ```text
//!  «label t» ─┬─ calls ───► classify(t.image, 'tiny')['label']   over photos, and a Parquet file with their bytes
//!             ├─ fields ──► t.tiny['label']                      over what a plain query of all calls has written
//!             └─ columns ─► t.label_flat                         the same
//! ```

use std::fs;
use std::path::Path;

use image::imageops::FilterType::Triangle;
use seequel::Engine;
use tempfile::TempDir;

use crate::support::{home, photos, two_partitions};

/// Types of columns, as far as a query needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Real,
    Boolean,
    /// A `phash`, 64 bits.
    Hash,
    /// What `classify` returns.
    Prediction,
    /// What `classify_top_k` returns.
    Classes,
    /// What `detect` returns.
    Boxes,
    Vector,
    /// To be selected only.
    Other,
}

impl Kind {
    pub(crate) const SCALARS: [Self; 4] = [Self::Text, Self::Integer, Self::Real, Self::Boolean];

    /// Whether values can be compared, grouped and sorted.
    pub(crate) fn is_scalar(self) -> bool {
        Self::SCALARS.contains(&self) || self == Self::Hash
    }
}

/// Calls, and the columns that hold what they gave; `{}` is the image.
const CALLS: [(&str, &str); 11] = [
    ("tiny", "classify({}, 'tiny')"),
    ("other", "classify({}, 'other')"),
    ("winner", "classify({}, 'both')"),
    ("top", "classify_top_k({}, 3, 'tiny')"),
    ("vector", "embed({}, 'vectors')"),
    ("boxes", "detect({}, 'yolo')"),
    ("hash", "phash({})"),
    ("outputs", "predict('tiny', {})"),
    ("problem", "image_error({}, 'other')"),
    ("small", "classify(thumbnail({}, 16), 'tiny')"),
    ("info", "image_info({})"),
];

/// Name and type of each answer, the column of its call, and the field of that.
pub(crate) const ANSWERS: [(&str, Kind, &str, &str); 18] = [
    ("label", Kind::Text, "tiny", "['label']"),
    ("class", Kind::Integer, "tiny", "['class']"),
    ("confidence", Kind::Real, "tiny", "['confidence']"),
    ("error", Kind::Text, "tiny", "['error']"),
    ("prediction", Kind::Prediction, "tiny", ""),
    ("other", Kind::Text, "other", ".label"),
    ("surest", Kind::Real, "winner", "['confidence']"),
    ("winner", Kind::Prediction, "winner", ""),
    ("top", Kind::Classes, "top", ""),
    ("vector", Kind::Vector, "vector", ""),
    ("boxes", Kind::Boxes, "boxes", ""),
    ("hash", Kind::Hash, "hash", ""),
    ("logits", Kind::Vector, "outputs", "['logits']"),
    ("problem", Kind::Text, "problem", ""),
    ("small", Kind::Text, "small", "['label']"),
    ("wide", Kind::Integer, "info", "['width']"),
    ("second", Kind::Text, "top", "[2]['label']"),
    ("first", Kind::Real, "vector", "[1]"),
];

/// The columns that need no call, in both engines.
pub(crate) const COLUMNS: [(&str, Kind); 5] = [
    ("name", Kind::Text),
    ("size", Kind::Integer),
    ("width", Kind::Integer),
    ("height", Kind::Integer),
    ("format", Kind::Text),
];

/// Tables that hold the same rows.
pub(crate) const TABLES: [&str; 3] = ["photos", "stored", "«files»"];

/// Labels of the models' ten classes.
pub(crate) const LABELS: [&str; 10] = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"];

const MODELS: &str = r#"
    CREATE MODEL tiny FROM '$ONNX/transformer.onnx' OPTIONS (task 'image-classification', labels '$LABELS', rescale '0.02', mean '1');
    CREATE MODEL other FROM '$ONNX/transformer.onnx' OPTIONS (task 'image-classification', labels '$LABELS', resize 'stretch', rescale '0.01', mean '2.5');
    CREATE MODEL vectors FROM '$ONNX/transformer.onnx' OPTIONS (task 'feature-extraction');
    CREATE MODEL yolo FROM '$ONNX/yolov8.onnx' OPTIONS (task 'object-detection', labels '["cup", "pen"]');
    CREATE MODEL both AS ENSEMBLE OF (tiny, other) OPTIONS (combine 'max_confidence')
"#;

/// Both engines, and their files.
pub(crate) struct Twins {
    pub(crate) calls: Engine,
    pub(crate) answers: Engine,
    pub(crate) folder: TempDir,
}

impl Twins {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_photos(&folder.path().join("photos"));
        let calls = engine();
        let labels = format!("[{}]", LABELS.map(|label| format!("\"{label}\"")).join(", "));
        let models = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/models");
        for create in MODELS.split(';') {
            run(&calls, &create.replace("$ONNX", models).replace("$LABELS", &labels)).await;
        }
        let file = |name: &str| folder.path().join(name).display().to_string();
        let create = format!("CREATE EXTERNAL TABLE photos STORED AS IMAGES LOCATION '{}'", file("photos"));
        run(&calls, &create).await;
        run(&calls, &format!("COPY (SELECT * FROM photos) TO '{}'", file("stored.parquet"))).await;
        let columns = COLUMNS.map(|(name, _)| name.to_owned());
        let calls_of = CALLS.map(|(column, call)| format!("{} AS {column}", call.replace("{}", "image")));
        let fields = ANSWERS.map(|(name, ..)| format!("{} AS {name}_flat", call_of(name, "image")));
        let all = columns.into_iter().chain(calls_of).chain(fields).collect::<Vec<_>>().join(", ");
        run(&calls, &format!("COPY (SELECT {all} FROM photos) TO '{}'", file("answers.parquet"))).await;

        let table = |name: &str, of: &str| {
            format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{}'", file(of))
        };
        run(&calls, &table("stored", "stored.parquet")).await;
        let answers = engine();
        for name in ["photos", "stored", "files"] {
            run(&answers, &table(name, "answers.parquet")).await;
        }
        Self { calls, answers, folder }
    }
}

fn engine() -> Engine {
    Engine::builder().home(home()).config(two_partitions()).build().unwrap()
}

async fn run(engine: &Engine, sql: &str) {
    engine.sql(sql).await.unwrap().collect().await.unwrap();
}

/// Small photos, two of them the same, and files that can't be decoded.
fn write_photos(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for (number, (photo, format)) in [
        ("astronaut.png", "jpg"),
        ("camera.png", "png"),
        ("cheetah1.jpg", "jpg"),
        ("china.jpg", "webp"),
        ("coffee.png", "png"),
        ("lion.jpg", "jpg"),
        ("moon.png", "gif"),
        ("rocket.jpg", "jpg"),
        ("tower.jpg", "png"),
    ]
    .into_iter()
    .enumerate()
    {
        let (width, height) = ([24, 32, 48][number % 3], [32, 40][number % 2]);
        let small = image::open(photos().join(photo)).unwrap().into_rgb8();
        let small = image::imageops::resize(&small, width, height, Triangle);
        small.save(folder.join(photo).with_extension(format)).unwrap();
    }
    fs::copy(folder.join("lion.jpg"), folder.join("lion_again.jpg")).unwrap();
    let rocket = fs::read(folder.join("rocket.jpg")).unwrap();
    fs::write(folder.join("cut.jpg"), &rocket[..rocket.len() / 2]).unwrap();
    fs::write(folder.join("text.png"), "no photo").unwrap();
}

/// The forms of generated SQL.
#[derive(Debug, Clone)]
pub(crate) struct Forms {
    /// With calls.
    pub(crate) calls: String,
    /// With fields of columns, as calls have them.
    pub(crate) fields: String,
    /// With a column for each field, where DataFusion refuses fields.
    pub(crate) columns: String,
}

impl Forms {
    /// Replaces what stands between « and »: an answer of a table, all of them, or the files themselves.
    pub(crate) fn of(sql: &str, files: &Path) -> Self {
        let mut parts = sql.split('«');
        let start = parts.next().unwrap_or_default().to_owned();
        let mut forms = Self { calls: start.clone(), fields: start.clone(), columns: start };
        for part in parts {
            let (marked, rest) = part.split_once('»').unwrap();
            let [calls, fields, columns] = replaced(marked, files);
            forms.calls.push_str(&format!("{calls}{rest}"));
            forms.fields.push_str(&format!("{fields}{rest}"));
            forms.columns.push_str(&format!("{columns}{rest}"));
        }
        forms
    }
}

fn replaced(marked: &str, files: &Path) -> [String; 3] {
    let Some((name, table)) = marked.split_once(' ') else {
        return [format!("read_images('{}')", files.display()), marked.to_owned(), marked.to_owned()];
    };
    if name == "image" {
        let calls = CALLS.map(|(column, _)| format!("{table}.{column} AS {column}"));
        let fields = ANSWERS.map(|(name, ..)| format!("{table}.{name}_flat AS {name}_flat"));
        return [format!("{table}.image AS image"), calls.join(", "), fields.join(", ")];
    }
    let (_, _, column, field) = answer(name);
    [
        call_of(name, &format!("{table}.image")),
        format!("{table}.{column}{field}"),
        format!("{table}.{name}_flat"),
    ]
}

fn answer(name: &str) -> &'static (&'static str, Kind, &'static str, &'static str) {
    ANSWERS.iter().find(|(known, ..)| *known == name).unwrap()
}

/// The call of an answer, for an image.
fn call_of(name: &str, image: &str) -> String {
    let (_, _, column, field) = answer(name);
    let (_, call) = CALLS.iter().find(|(known, _)| known == column).unwrap();
    format!("{}{field}", call.replace("{}", image))
}
