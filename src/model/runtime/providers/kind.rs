//! What every provider has to say about itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ort::ep::ArbitrarilyConfigurableExecutionProvider;
use ort::memory::AllocationDevice;
use ort::session::builder::SessionBuilder;

use super::machine::Machine;
use crate::model::spec::Precision;
use crate::model::tensor::PageLocker;

/// What Seequel knows about a provider.
pub(in crate::model::runtime) trait Kind: fmt::Debug + Sync {
    /// Its name in the option `device`.
    fn name(&self) -> &'static str;

    /// Its name in ONNX Runtime.
    fn registered_name(&self) -> &'static str;

    /// The runtime that has it, as `--runtime` names it.
    fn runtime(&self) -> &'static str;

    /// Whether the opened library was built with it. The library must be open.
    fn is_offered(&self) -> ort::Result<bool>;

    /// Lets the session compute on device `number`, with the defaults of this provider under the user's options.
    fn register(
        &self,
        builder: SessionBuilder,
        number: u32,
        request: &Request<'_>,
    ) -> ort::Result<SessionBuilder>;

    /// The devices that it could use on this machine, by number.
    fn devices(&self) -> Vec<Hardware>;

    /// Why it can't compute in a precision other than f32 on this machine, as the end of a sentence that starts with the precision.
    fn refuses(&self, _: Precision, _: &Machine) -> Option<String> {
        let name = self.name();
        Some(format!("is not supported by {name}, which computes in f32; openvino computes in bf16 too"))
    }

    /// Its options, if it does not refuse unknown ones by itself.
    fn options(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// The driver's library, without which the provider can't be opened, and the driver's name.
    fn driver(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// The libraries that it needs, in an order in which they can be opened; the first stands for their version. Set-up
    /// puts them beside the provider's own, where the system's loader does not look for them.
    fn libraries(&self) -> &'static [&'static str] {
        &[]
    }

    /// What a machine needs for it, as a sentence.
    fn needs(&self) -> Option<&'static str> {
        None
    }

    /// The highest number that `device` may have, as in `cuda:1`; `None` if it has none.
    fn last_number(&self) -> Option<u32> {
        None
    }

    /// Sessions that keep one device busy, if it is not a CPU, which needs one for each core.
    fn device_sessions(&self) -> Option<usize> {
        None
    }

    /// Whether it compiles a graph for each number of rows, so that a smaller batch costs more than a padded one.
    fn fixes_batch(&self) -> bool {
        false
    }

    /// What locks memory for copies to device `number`, once a session is loaded.
    fn page_locker(&self, _number: u32) -> Option<PageLocker> {
        None
    }

    /// Its memory, if that is not the machine's and ONNX Runtime counts it.
    fn memory(&self) -> Option<AllocationDevice<'static>> {
        None
    }

    /// The share of the last moments in which device `number` computed, 0 to 1, if its driver tells.
    fn device_use(&self, _number: u32) -> Option<f64> {
        None
    }
}

/// What a session asks of its provider.
#[derive(Debug)]
pub(in crate::model::runtime) struct Request<'a> {
    /// Threads of the session.
    pub(in crate::model::runtime) threads: usize,
    pub(in crate::model::runtime) precision: Precision,
    /// The option `num_gpus`: the share of a device that a session may take.
    pub(in crate::model::runtime) share: Option<f64>,
    /// Where to keep what is expensive to compile.
    pub(in crate::model::runtime) cache: &'a Path,
    /// The option `provider_options`.
    pub(in crate::model::runtime) options: &'a BTreeMap<String, String>,
}

impl Request<'_> {
    /// Sets the user's options, over those that `provider` has.
    pub(super) fn configure<P: ArbitrarilyConfigurableExecutionProvider>(&self, provider: P) -> P {
        self.options
            .iter()
            .fold(provider, |provider, (key, value)| provider.with_arbitrary_config(key, value))
    }
}

/// A device of this machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::model::runtime) struct Hardware {
    pub(in crate::model::runtime) name: Option<String>,
    pub(in crate::model::runtime) memory_bytes: Option<u64>,
}
