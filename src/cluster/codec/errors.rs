//! Why a plan can't be sent or read.

use datafusion::error::DataFusionError;

pub(super) fn undecodable(reason: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("the plan can't be read: {reason}"))
}

pub(super) fn unencodable(reason: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Plan(format!("the plan can't be sent: {reason}"))
}
