//! The accounts as values.

use serde::Serialize;

/// What a query's time and memory went to, so far or in all. Times are in seconds, memory in bytes; all can be written
/// as JSON by serde.
///
/// Calls within branches of CASE and bodies of lambdas run inside expressions, on the threads that evaluate these. They
/// count among the stages and models, but there are no [`Workers`] for them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Accounts {
    /// The query as a whole.
    pub query: QueryAccount,
    /// The threads that infer.
    pub workers: Workers,
    /// Each stage, summed over all operators.
    pub stages: Stages,
    /// Each model, in the order of the plan from its result down.
    pub models: Vec<ModelAccount>,
    /// What memory was refused and what it cost.
    pub memory: MemoryAccount,
}

/// The query as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct QueryAccount {
    /// From the first poll to the end, or until now.
    pub seconds: f64,
    /// Processor time of the process meanwhile, on all cores together, so that of queries beside it is included.
    pub cpu_seconds: f64,
    /// Cores that the process may use.
    pub cores: usize,
    /// `cpu_seconds` as a share of what these cores had, 0 to 1.
    pub cpu_share: f64,
    /// Most resident memory that the process ever had.
    pub peak_memory_bytes: u64,
    /// Predictions that are errors.
    pub failed_rows: u64,
}

/// The threads that infer. `busy_seconds`, `input_wait_seconds` and `room_wait_seconds` add up to `seconds`.
///
/// For rows whose order matters, the morsels that are in flight count as such: each waits for rows and for a thread, and
/// then until the morsels before it and itself are taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Workers {
    /// Number of threads, of all operators that infer.
    pub count: usize,
    /// Life of all of them; kept up to date after each morsel.
    pub seconds: f64,
    /// Decoding, preprocessing, loading and running models, postprocessing.
    pub busy_seconds: f64,
    /// Waiting for rows, or for the threads that decode them.
    pub input_wait_seconds: f64,
    /// Waiting for a session, for memory, or until their rows are taken.
    pub room_wait_seconds: f64,
}

/// The stages of a query, in the order that an image passes them. A stage that the query does not have is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stages {
    /// Listing files. Busy while the listing's next file is waited for.
    pub list: StageAccount,
    /// Reading files, or rows of a table. Busy seconds are summed over files that are read at the same time, waiting for
    /// a disk or store included; rows are files or rows.
    pub read: StageAccount,
    /// Decoding images; bytes are those of the encoded images. Busy seconds are summed over threads.
    pub decode: StageAccount,
    /// Evaluating the inputs of models, image functions included, resizing and normalising, filling batches.
    pub preprocess: StageAccount,
    /// The queue before inference. It is never busy; what feeds it waits for input, and for room.
    pub queue: StageAccount,
    /// Running models; rows are counted once per model. It waits for input, and for room on the device: a free session.
    pub infer: StageAccount,
    /// From outputs to columns. It waits for room until rows are taken.
    pub postprocess: StageAccount,
    /// Filters, sorts, projections and other operators of SQL, without the models in their expressions. Rows are those of the
    /// operator that gave most.
    pub compute: StageAccount,
    /// Encoding and writing results; bytes are those of the files.
    pub write: StageAccount,
}

/// One stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StageAccount {
    /// Rows that it is done with.
    pub rows: u64,
    /// Bytes of these rows.
    pub bytes: u64,
    /// Time at work, summed over threads.
    pub busy_seconds: f64,
    /// Time waiting for the stage before.
    pub input_wait_seconds: f64,
    /// Time waiting for the stage after, or for memory.
    pub room_wait_seconds: f64,
}

/// The runs of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ModelAccount {
    /// Its name in SQL.
    pub name: String,
    /// Where it runs, such as `cpu` or `cuda:0`.
    pub device: String,
    /// Most rows of a batch.
    pub batch_size: usize,
    /// Most sessions.
    pub concurrency: usize,
    /// Threads of a session.
    pub num_cpus: usize,
    /// The rows of every run, where the graph or the provider fixes them.
    pub fixed_batch: Option<usize>,
    /// Runs.
    pub batches: u64,
    /// Rows that it ran on.
    pub rows: u64,
    /// `rows` by `batches`, or 0.
    pub rows_a_batch: f64,
    /// Rows that were added to batches of a fixed size, which cost as much as others.
    pub padded_rows: u64,
    /// Batches that failed as a whole and were run again row by row.
    pub retried_batches: u64,
    /// Sessions that are loaded now.
    pub loaded_sessions: usize,
    /// Loading sessions.
    pub load_seconds: f64,
    /// Waiting for a free session.
    pub queue_seconds: f64,
    /// Running, summed over sessions.
    pub run_seconds: f64,
    /// What half of the runs took at most; `None` before the first.
    pub p50_seconds: Option<f64>,
    /// What 95 of 100 runs took at most.
    pub p95_seconds: Option<f64>,
    /// What 99 of 100 runs took at most.
    pub p99_seconds: Option<f64>,
    /// How busy its device was while it ran, 0 to 1, with all that ran there: the mean of a sample a second. `None` where the
    /// provider does not tell, as on a CPU.
    pub device_use: Option<f64>,
    /// Memory that its loaded sessions have taken now, on this machine and on its device.
    pub memory_bytes: u64,
}

/// Memory that was refused, and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemoryAccount {
    /// Morsels for which less memory was left than for all their images at once.
    pub shrunk_morsels: u64,
    /// Time that workers waited for memory.
    pub wait_seconds: f64,
    /// Bytes that sorts and aggregates wrote to disk.
    pub spilled_bytes: u64,
}

impl Accounts {
    /// Seconds of cores that inference took: those of its workers, and of further threads of their sessions. Without
    /// models on another device it is at most the processor time, unless threads waited for a core.
    #[must_use]
    pub fn inference_core_seconds(&self) -> f64 {
        let Stages { decode, preprocess, postprocess, .. } = self.stages;
        let on_cores = self.models.iter().filter(|model| model.device == "cpu");
        let running = on_cores.map(|model| model.run_seconds * model.num_cpus as f64 + model.load_seconds);
        decode.busy_seconds + preprocess.busy_seconds + postprocess.busy_seconds + running.sum::<f64>()
    }

    /// Seconds of cores that all stages took that compute; reading, which mostly waits, is not among them.
    #[must_use]
    pub fn core_seconds(&self) -> f64 {
        self.inference_core_seconds() + self.stages.compute.busy_seconds + self.stages.write.busy_seconds
    }

    /// Whether no model runs on another device than the processor.
    pub(crate) fn is_on_cores(&self) -> bool {
        self.models.iter().all(|model| model.device == "cpu")
    }
}

impl Stages {
    /// All stages with their names, in order.
    #[must_use]
    pub fn named(&self) -> [(&'static str, StageAccount); 9] {
        let Self { list, read, decode, preprocess, queue, infer, postprocess, compute, write } = *self;
        [
            ("list", list),
            ("read", read),
            ("decode", decode),
            ("preprocess", preprocess),
            ("queue", queue),
            ("infer", infer),
            ("postprocess", postprocess),
            ("compute", compute),
            ("write", write),
        ]
    }
}
