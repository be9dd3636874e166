//! SQL and its results: the files in `tests/slt`, each with its own engine.
//!
//! `$PHOTOS`, `$MODELS` and `$DETECTOR` are those of the set-up, `$ONNX` has the models of `tests/data/models`, `$TMP`
//! is an empty folder, `$DATA` has the files that [`write_data`] writes. Types are `T` text, `I` integers, `R` other
//! numbers, `B` booleans and `?` the rest.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use seequel::Engine;
use sqllogictest::{AsyncDB, ColumnType, DBOutput, Runner, strict_column_validator};

use crate::support::{home, photos, two_partitions};

macro_rules! slt {
    ($($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            run(concat!("tests/slt/", stringify!($name), ".slt")).await;
        })*

        #[test]
        fn every_file_has_a_test() {
            let files = fs::read_dir("tests/slt").unwrap().map(|file| file.unwrap().file_name());
            let mut files = files.collect::<Vec<_>>();
            files.sort();
            let mut named = vec![$(concat!(stringify!($name), ".slt")),*];
            named.sort_unstable();
            assert_eq!(files, named);
        }
    };
}

slt! {
    classify classify_top_k clauses detect embed ensembles image_functions images models predict struct_fields subqueries
    summarize vector_functions
}

async fn run(file: &str) {
    run_on(file, || {
        let config = two_partitions().set_bool("datafusion.sql_parser.parse_float_as_decimal", false);
        Session::of(Engine::builder().home(home()).config(config).build().unwrap())
    })
    .await;
}

/// Runs a file in the sessions that `open` makes.
pub(crate) async fn run_on(file: &str, open: impl Fn() -> Session) {
    let (data, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_data(data.path());
    let mut script = fs::read_to_string(file).unwrap();
    for (name, folder) in [
        ("$PHOTOS", photos().as_path()),
        ("$MODELS", &home().join("models")),
        ("$DETECTOR", &home().join("tests/yolov3_tiny")),
        ("$ONNX", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models")),
        ("$DATA", data.path()),
        ("$TMP", scratch.path()),
    ] {
        script = script.replace(name, folder.to_str().unwrap());
    }
    let mut runner = Runner::new(async || Ok(open()));
    runner.with_column_validator(strict_column_validator);
    if let Err(error) = runner.run_script_with_name_async(&script, file).await {
        panic!("{}", error.display(true));
    }
}

/// Writes photos into folders by subject and by format, one of them rotated by its Exif orientation.
fn write_data(folder: &Path) {
    let copy = |photo: &str, to: &str| {
        let to = folder.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(photos().join(photo), to).unwrap();
    };
    copy("lion.jpg", "hive/kind=animal/year=2023/lion.jpg");
    copy("cheetah1.jpg", "hive/kind=animal/year=2024/cheetah.jpg");
    copy("coffee.png", "hive/kind=thing/year=2024/coffee.png");
    copy("lion.jpg", "mixed/lion.jpg");
    copy("coffee.png", "mixed/deep/er/coffee.png");
    copy("lion.jpg", "mixed/.hidden.jpg");
    copy("lion.jpg", "mixed/_ignored/lion.jpg");
    fs::write(folder.join("mixed/notes.txt"), "no photo").unwrap();
    fs::write(folder.join("mixed/fake.jpg"), "no photo").unwrap();

    fs::create_dir(folder.join("bare")).unwrap();
    let model = home().join("models/efficientnet_lite0/model.onnx");
    std::os::unix::fs::symlink(model, folder.join("bare/model.onnx")).unwrap();

    fs::create_dir(folder.join("formats")).unwrap();
    let lion = image::open(photos().join("lion.jpg")).unwrap().into_rgb8();
    for extension in ["bmp", "gif", "jpg", "png", "tiff", "webp"] {
        lion.save(folder.join("formats/lion").with_extension(extension)).unwrap();
    }

    fs::create_dir(folder.join("turned")).unwrap();
    let upright = fs::read(photos().join("tower.jpg")).unwrap();
    for orientation in [1, 6] {
        let name = format!("turned/{orientation}.jpg");
        fs::write(folder.join(name), with_orientation(&upright, orientation)).unwrap();
    }
}

/// A JPEG with an Exif segment for its orientation: 6 is a quarter turn clockwise.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let (start_of_image, rest) = jpeg.split_at(2);
    let tiff =
        [b"II*\0\x08\0\0\0", &b"\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]];
    let exif = [&b"Exif\0\0"[..], &tiff.concat()].concat();
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [start_of_image, b"\xff\xe1", &length, &exif, rest].concat()
}

/// Runs the statements of a file.
pub(crate) struct Session {
    engine: Engine,
    /// Runs what the engine refuses, and is told what changes a session. Statements that ran there are noted.
    other: Option<(Engine, Noted)>,
}

/// Statements.
pub(crate) type Noted = Arc<Mutex<Vec<String>>>;

impl Session {
    pub(crate) fn of(engine: Engine) -> Self {
        Self { engine, other: None }
    }

    /// Statements that run on no cluster run in `alone`.
    #[cfg(feature = "cluster")]
    pub(crate) fn of_cluster(engine: Engine, alone: Engine, refused: Noted) -> Self {
        Self { engine, other: Some((alone, refused)) }
    }
}

async fn run_in(engine: &Engine, sql: &str) -> Result<DBOutput<Type>, seequel::Error> {
    let results = engine.sql(sql).await?;
    let types: Vec<_> = results.schema().fields().iter().map(|field| Type::of(field)).collect();
    let batches = results.collect().await?;
    if types.is_empty() {
        return Ok(DBOutput::StatementComplete(0));
    }
    let rows = batches.iter().flat_map(to_text).collect();
    Ok(DBOutput::Rows { types, rows })
}

#[async_trait]
impl AsyncDB for Session {
    type Error = seequel::Error;
    type ColumnType = Type;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Type>, seequel::Error> {
        let ran = run_in(&self.engine, sql).await;
        let Some((other, refused)) = &self.other else { return ran };
        match ran {
            Err(error) if error.to_string().contains("can't run on a cluster yet") => {
                refused.lock().unwrap().push(sql.to_owned());
                run_in(other, sql).await
            }
            ran => {
                let changes = ["CREATE", "DROP", "SET", "RESET", "INSERT"];
                if changes.iter().any(|word| sql.starts_with(word)) {
                    // It failed, or does so here as well.
                    let _ = run_in(other, sql).await;
                }
                ran
            }
        }
    }

    /// The name for `skipif`.
    fn engine_name(&self) -> &'static str {
        if self.other.is_some() { "cluster" } else { "alone" }
    }

    async fn shutdown(&mut self) {}
}

fn to_text(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let columns = batch.columns().iter();
    let columns: Vec<_> = columns.map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let cell = |column: &ArrayFormatter<'_>, row| {
        let mut text = String::new();
        write!(text, "{}", column.value(row)).unwrap();
        if text.is_empty() { "(empty)".to_owned() } else { text }
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect()
}

/// The type of a column, as written in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Integer,
    Real,
    Boolean,
    Other,
}

impl Type {
    fn of(field: &Field) -> Self {
        match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Boolean => Self::Boolean,
            integer if integer.is_integer() => Self::Integer,
            real if real.is_floating() || real.is_decimal() => Self::Real,
            _ => Self::Other,
        }
    }
}

impl ColumnType for Type {
    fn from_char(letter: char) -> Option<Self> {
        match letter {
            'T' => Some(Self::Text),
            'I' => Some(Self::Integer),
            'R' => Some(Self::Real),
            'B' => Some(Self::Boolean),
            '?' => Some(Self::Other),
            _ => None,
        }
    }

    fn to_char(&self) -> char {
        match self {
            Self::Text => 'T',
            Self::Integer => 'I',
            Self::Real => 'R',
            Self::Boolean => 'B',
            Self::Other => '?',
        }
    }
}
