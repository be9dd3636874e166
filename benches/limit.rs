//! The limit of a machine: the fastest loop we can write by hand around the same libraries, with no engine.
//!
//! ```text
//!  a thread a core, each taking the next `batch` files:
//!  read ─► libjpeg-turbo at 1/1 … 1/8 ─► SIMD resize of the crop ─► normalise ─► ONNX Runtime ─► a line of CSV
//! ```
//!
//! It knows what an engine has to find out: every file is an upright RGB JPEG that fits, every model takes float32
//! NCHW, and nothing fails. `benches/run.py` runs it with several settings and keeps the best.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a yardstick for Seequel can't be made of Seequel"
)]

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use clap::Parser;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use ort::ep::CUDA;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::session::builder::{PrepackedWeights, SessionBuilder};
use ort::session::{OutputSelector, RunOptions, Session};
use ort::value::TensorRef;
use parking_lot::Mutex;
use turbojpeg::{Decompressor, PixelFormat, ScalingFactor};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Share of the short side that the central crop keeps.
const CROP_FRACTION: f64 = 0.875;

/// What to run, and how.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of JPEGs.
    photos: PathBuf,
    /// ONNX Runtime's library.
    #[arg(long)]
    library: PathBuf,
    /// ONNX file of one input, float32 NCHW.
    #[arg(long)]
    model: PathBuf,
    /// Output that holds the logits.
    #[arg(long, default_value = "logits")]
    output: String,
    /// Side of the model's square input, in pixels.
    #[arg(long, default_value_t = 224)]
    size: u32,
    /// Factor that 8-bit pixels are multiplied with first.
    #[arg(long, default_value_t = 1.0)]
    rescale: f32,
    /// Mean of each channel, after `rescale`.
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    mean: Vec<f32>,
    /// Standard deviation of each channel.
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    std: Vec<f32>,
    /// Images in one run of the model.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Sessions, shared by as many threads as there are cores.
    #[arg(long, default_value_t = 1)]
    sessions: usize,
    /// Threads that a session computes on.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Run on the first NVIDIA GPU, in float32 as Seequel does; the library must have CUDA.
    #[arg(long)]
    cuda: bool,
    /// CSV file to write: path, class, confidence.
    #[arg(long)]
    results: PathBuf,
}

fn main() -> Fallible<()> {
    let args = Args::parse();
    let start = Instant::now();
    let files = jpegs(&args.photos)?;
    let sessions = load_sessions(&args)?;
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism()?.get().max(sessions.len());
    let parts: Vec<Fallible<String>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|number| {
                let session = &sessions[number % sessions.len()];
                let (args, files, next) = (&args, &files, &next);
                scope.spawn(move || classify_all(args, files, next, session))
            })
            .collect();
        let died = |_| Err("a worker died".into());
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(died)).collect()
    });
    let lines = parts.into_iter().collect::<Fallible<Vec<_>>>()?.concat();
    std::fs::write(&args.results, format!("path,class,confidence\n{lines}"))?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{{\"images\":{},\"seconds\":{seconds:.4}}}", files.len());
    Ok(())
}

fn jpegs(folder: &Path) -> Fallible<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn load_sessions(args: &Args) -> Fallible<Vec<Mutex<Session>>> {
    let environment = ort::init_from(&args.library)?.with_telemetry(false).build()?;
    let weights = PrepackedWeights::new();
    let load = |_| -> ort::Result<Mutex<Session>> {
        let mut builder = SessionBuilder::new(&environment)?
            .with_intra_threads(args.threads)?
            .with_intra_op_spinning(args.threads > 1)?
            .with_prepacked_weights(&weights)?;
        if args.cuda {
            let cuda =
                CUDA::default().with_tf32(false).with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic);
            builder = builder.with_execution_providers([cuda.build().error_on_failure()])?;
        }
        Ok(Mutex::new(builder.commit_from_file(&args.model)?))
    };
    Ok((0..args.sessions.max(1)).map(load).collect::<ort::Result<_>>()?)
}

/// One thread's work: takes files until none are left; returns its lines of CSV.
fn classify_all(
    args: &Args,
    files: &[PathBuf],
    next: &AtomicUsize,
    session: &Mutex<Session>,
) -> Fallible<String> {
    let mut preparer = Preparer::new(args)?;
    let image_len = 3 * (args.size * args.size) as usize;
    let mut tensor = vec![0.0; args.batch * image_len];
    let mut lines = String::new();
    loop {
        let first = next.fetch_add(args.batch, Relaxed);
        let batch = &files[first.min(files.len())..(first + args.batch).min(files.len())];
        if batch.is_empty() {
            return Ok(lines);
        }
        for (file, slot) in batch.iter().zip(tensor.chunks_exact_mut(image_len)) {
            preparer.prepare(&std::fs::read(file)?, slot)?;
        }
        let logits = run(args, session, &tensor[..batch.len() * image_len], batch.len())?;
        for (file, logits) in batch.iter().zip(logits.chunks_exact(logits.len() / batch.len())) {
            let (class, confidence) = best_class(logits);
            writeln!(lines, "{},{class},{confidence}", file.display())?;
        }
    }
}

fn run(args: &Args, session: &Mutex<Session>, tensor: &[f32], rows: usize) -> Fallible<Vec<f32>> {
    let side = args.size as usize;
    let input = TensorRef::from_array_view(([rows, 3, side, side], tensor))?;
    let wanted = OutputSelector::no_default().with(args.output.as_str());
    let options = RunOptions::new()?.with_outputs(wanted);
    let mut session = session.lock();
    let outputs = session.run_with_options(ort::inputs![input], &options)?;
    Ok(outputs[args.output.as_str()].try_extract_tensor::<f32>()?.1.to_vec())
}

/// The class of the largest logit and its share of the softmax.
fn best_class(logits: &[f32]) -> (usize, f32) {
    let (class, most) = logits
        .iter()
        .copied()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best });
    let sum: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
    (class, 1.0 / sum)
}

/// Turns JPEGs into tensors, in memory that it keeps from one to the next.
struct Preparer {
    decompressor: Decompressor,
    resizer: Resizer,
    decoded: Vec<u8>,
    resized: Image<'static>,
    tables: [[f32; 256]; 3],
}

impl Preparer {
    fn new(args: &Args) -> Fallible<Self> {
        let mean = <[f32; 3]>::try_from(args.mean.as_slice())?;
        let std = <[f32; 3]>::try_from(args.std.as_slice())?;
        let table = |channel: usize| {
            std::array::from_fn(|pixel| (pixel as f32 * args.rescale - mean[channel]) / std[channel])
        };
        Ok(Self {
            decompressor: Decompressor::new()?,
            resizer: Resizer::new(),
            decoded: Vec::new(),
            resized: Image::new(args.size, args.size, PixelType::U8x3),
            tables: [table(0), table(1), table(2)],
        })
    }

    fn prepare(&mut self, jpeg: &[u8], slot: &mut [f32]) -> Fallible<()> {
        let (width, height) = self.decode(jpeg)?;
        self.resize(width, height)?;
        let pixels = self.resized.buffer();
        let planes = slot.chunks_exact_mut(pixels.len() / 3);
        for (channel, (plane, table)) in planes.zip(&self.tables).enumerate() {
            for (value, pixel) in plane.iter_mut().zip(pixels.chunks_exact(3)) {
                *value = table[usize::from(pixel[channel])];
            }
        }
        Ok(())
    }

    /// Decodes at the smallest scale whose crop still has a pixel for each of the model's; returns width and height.
    fn decode(&mut self, jpeg: &[u8]) -> Fallible<(usize, usize)> {
        let header = self.decompressor.read_header(jpeg)?;
        let crop = CROP_FRACTION * header.width.min(header.height) as f64;
        let scale = [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF]
            .into_iter()
            .find(|scale| crop / scale.denom() as f64 >= f64::from(self.resized.width()))
            .unwrap_or(ScalingFactor::ONE);
        self.decompressor.set_scaling_factor(scale)?;
        let scaled = header.scaled(scale);
        let pitch = scaled.width * 3;
        self.decoded.resize(pitch * scaled.height, 0);
        let output = turbojpeg::Image {
            pixels: self.decoded.as_mut_slice(),
            width: scaled.width,
            pitch,
            height: scaled.height,
            format: PixelFormat::RGB,
        };
        self.decompressor.decompress(jpeg, output)?;
        Ok((scaled.width, scaled.height))
    }

    fn resize(&mut self, width: usize, height: usize) -> Fallible<()> {
        let source =
            ImageRef::new(u32::try_from(width)?, u32::try_from(height)?, &self.decoded, PixelType::U8x3)?;
        let side = CROP_FRACTION * width.min(height) as f64;
        let (left, top) = ((width as f64 - side) / 2.0, (height as f64 - side) / 2.0);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .crop(left, top, side, side);
        self.resizer.resize(&source, &mut self.resized, &options)?;
        Ok(())
    }
}
