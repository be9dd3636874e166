//! Which nodes of a model's graph a device computes, and which it leaves to the CPU.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::{fmt, ptr, slice};

use itertools::Itertools;
use ort::AsPointer;
use ort::session::builder::SessionBuilder;

use super::providers::Provider;

/// Has a session record which provider got which nodes.
const RECORD: &str = "session.record_ep_graph_assignment_info";

/// The nodes of a graph, as ONNX Runtime divided them when it loaded a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The nodes of the file's graph. ONNX Runtime's record lacks some that it gave to a device, and it counts other
    /// nodes once it has merged and added some.
    nodes: usize,
    /// How many nodes of each operator were left to the CPU.
    on_cpu: BTreeMap<String, usize>,
}

impl Assignment {
    /// Has the session that `builder` makes record what [`Self::of`] reads.
    pub(super) fn record(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
        Ok(builder.with_config_entry(RECORD, "1")?)
    }

    /// How the `nodes` nodes of a session's graph were divided.
    pub(super) fn of(session: &ort::session::Session, nodes: usize) -> ort::Result<Self> {
        let cpu = Provider::CPU.kind().registered_name();
        let parts = subgraphs(session)?.into_iter().filter(|(provider, _)| provider == cpu);
        let on_cpu = parts.flat_map(|(_, operators)| operators).counts().into_iter().collect();
        Ok(Self { nodes, on_cpu })
    }
}

/// `3 of 120 nodes (2.5 %): NonMaxSuppression, 2 Resize`, the nodes that were left to the CPU.
impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on_cpu: usize = self.on_cpu.values().sum();
        write!(f, "{on_cpu} of {} nodes", self.nodes)?;
        if on_cpu == 0 {
            return Ok(());
        }
        let operators = self.on_cpu.iter().map(|(operator, &count)| match count {
            1 => operator.clone(),
            _ => format!("{count} {operator}"),
        });
        let share = (100.0 * on_cpu as f64 / self.nodes as f64).min(100.0);
        write!(f, " ({share:.1} %): {}", operators.format(", "))
    }
}

/// The parts of the graph that providers got: the provider's name, and the operator of each node.
fn subgraphs(session: &ort::session::Session) -> ort::Result<Vec<(String, Vec<String>)>> {
    let api = ort::api();
    let (mut parts, mut count) = (ptr::null(), 0);
    let mut subgraphs = vec![];
    // SAFETY: the session is valid, and owns what the functions below return for as long as it lives: after success
    // arrays of the returned lengths, whose elements are valid, and strings that end with a NUL.
    #[expect(unsafe_code, reason = "ort has no function for the assignment of nodes")]
    unsafe {
        let check = |status| ort::Error::result_from_status(status);
        check((api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &raw mut parts, &raw mut count))?;
        for &part in array(parts, count) {
            let (mut provider, mut nodes, mut count) = (ptr::null(), ptr::null(), 0);
            check((api.EpAssignedSubgraph_GetEpName)(part, &raw mut provider))?;
            check((api.EpAssignedSubgraph_GetNodes)(part, &raw mut nodes, &raw mut count))?;
            let mut operators = Vec::with_capacity(count);
            for &node in array(nodes, count) {
                let mut operator = ptr::null();
                check((api.EpAssignedNode_GetOperatorType)(node, &raw mut operator))?;
                operators.push(CStr::from_ptr(operator).to_string_lossy().into_owned());
            }
            subgraphs.push((CStr::from_ptr(provider).to_string_lossy().into_owned(), operators));
        }
    }
    Ok(subgraphs)
}

/// An array of ONNX Runtime's; an empty one may be NULL.
///
/// # Safety
/// Unless it is empty it must be valid for as long as the result is used.
#[expect(unsafe_code, reason = "its callers have pointers only")]
unsafe fn array<'a, T>(first: *const T, count: usize) -> &'a [T] {
    // SAFETY: see above.
    if count == 0 { &[] } else { unsafe { slice::from_raw_parts(first, count) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_on_the_cpu_are_listed_by_operator() {
        let on_cpu = [("NonMaxSuppression".to_owned(), 1), ("Resize".to_owned(), 2)].into();
        let assignment = Assignment { nodes: 120, on_cpu };
        assert_eq!(assignment.to_string(), "3 of 120 nodes (2.5 %): NonMaxSuppression, 2 Resize");
        let none = Assignment { nodes: 7, on_cpu: BTreeMap::new() };
        assert_eq!(none.to_string(), "0 of 7 nodes");
    }
}
