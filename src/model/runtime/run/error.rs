//! Why the run of a batch failed: the device's memory, the time limit, or whatever else the runtime says.

use std::fmt;
use std::time::Duration;

/// What runtimes and drivers say when memory does not suffice, in lower case.
const OUT_OF_MEMORY: [&str; 12] = [
    "out of memory",
    "outofmemory",
    "out_of_memory",
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "alloc_failed",
    "allocation_failed",
    "allocation_failure",
    "allocation failed",
    "is smaller than requested bytes",
    "cl_out_of_resources",
];

/// Why a run failed. The text is for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunError {
    /// The device has too little memory for the batch.
    OutOfMemory(String),
    /// It was ended after this time.
    TimedOut(Duration),
    /// The runtime rejects the batch.
    Rejected(String),
    /// What the model gave can't be used, or it can't be given the batch.
    Unusable(String),
}

impl RunError {
    /// The error that the runtime gives `reason` for.
    pub(in crate::model::runtime) fn of(reason: String) -> Self {
        let lower = reason.to_lowercase();
        if OUT_OF_MEMORY.iter().any(|text| lower.contains(text)) {
            Self::OutOfMemory(reason)
        } else {
            Self::Rejected(reason)
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory(reason) | Self::Rejected(reason) | Self::Unusable(reason) => {
                f.write_str(reason)
            }
            Self::TimedOut(limit) => {
                write!(f, "the run took longer than inference.timeout ({} s)", limit.as_secs_f64())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_about_memory_are_told_from_others() {
        let memory = [
            "CUDA failure 2: out of memory",
            "Available memory of 1048576 is smaller than requested bytes of 8388608",
            "Failed to allocate memory for requested buffer of size 1125899906842624",
            "std::bad_alloc",
            "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
            "[GPU] CL_MEM_OBJECT_ALLOCATION_FAILURE",
        ];
        for reason in memory {
            assert_eq!(RunError::of(reason.to_owned()), RunError::OutOfMemory(reason.to_owned()));
        }
        let others =
            ["indices element out of data bounds, idx=8 must be within the inclusive range [-5,4]", ""];
        for reason in others {
            assert_eq!(RunError::of(reason.to_owned()), RunError::Rejected(reason.to_owned()));
        }
    }
}
