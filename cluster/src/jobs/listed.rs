//! A job, as `SHOW JOBS` lists it.

use std::fmt;
use std::time::Duration;

use ballista_core::serde::protobuf::job_status::Status;

use super::messages;
use super::progress::{JobProgress, JobStage, operator};
use crate::error::message_of;

/// What a scheduler gives as the error of a job that was cancelled.
const CANCELLED: &str = "Cancelled";

/// A job that a scheduler knows.
#[derive(Debug, Clone)]
pub struct ListedJob {
    /// Its name in the scheduler.
    pub id: String,
    /// What its client calls it: the beginning of its statement.
    pub name: String,
    /// How it is.
    pub state: JobState,
    /// When it began to run, in milliseconds since 1970.
    pub started: Option<u64>,
    /// How long it has run, or ran.
    pub ran: Option<Duration>,
    /// Why it failed.
    pub error: Option<String>,
    /// How far it is, or came.
    pub progress: JobProgress,
}

/// How a job is. Its [`Display`](fmt::Display) is one lower-case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits to be planned.
    Queued,
    /// It runs, or waits for executors.
    Running,
    /// It has ended, and has its results.
    Successful,
    /// It has ended by an error.
    Failed,
    /// It was ended by its client, or by another.
    Cancelled,
}

impl JobState {
    pub(crate) fn of(status: &Status) -> Self {
        match status {
            Status::Queued(_) => Self::Queued,
            Status::Running(_) => Self::Running,
            Status::Successful(_) => Self::Successful,
            Status::Failed(failed) if failed.error == CANCELLED => Self::Cancelled,
            Status::Failed(_) => Self::Failed,
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

impl ListedJob {
    /// `None` for a message without a state.
    pub(crate) fn of(message: messages::ListedJob, now: u64) -> Option<Self> {
        let job = message.status?;
        let status = job.status?;
        let (started, ended, error) = match &status {
            Status::Queued(_) => (0, 0, None),
            Status::Running(running) => (running.started_at, now, None),
            Status::Successful(ended) => (ended.started_at, ended.ended_at, None),
            Status::Failed(ended) => (ended.started_at, ended.ended_at, Some(message_of(&ended.error))),
        };
        let (state, started) = (JobState::of(&status), Some(started).filter(|started| *started > 0));
        Some(Self {
            id: job.job_id,
            name: job.job_name,
            state,
            started,
            ran: started.map(|started| Duration::from_millis(ended.saturating_sub(started))),
            error: error.filter(|_| state == JobState::Failed),
            progress: message.stages.unwrap_or_default().into(),
        })
    }
}

impl From<messages::Stages> for JobProgress {
    fn from(messages::Stages { stages, waiting }: messages::Stages) -> Self {
        let stages = stages.into_iter().map(|stage| {
            let messages::Stage { id, tasks, ended, operators } = stage;
            JobStage { id, tasks, ended, operators: operators.into_iter().map(operator).collect() }
        });
        Self { waiting: waiting as usize, ..Self::sorted(stages.collect()) }
    }
}
