//! What takes part in a search, and against what it competes.

use std::sync::Arc;

use super::candidates::Candidate;
use crate::model::runtime::{Choice, Model, OPEN, Variant};

/// A configuration in the search.
pub(super) struct Entrant {
    pub(super) choice: Choice,
    /// The number of its candidate.
    pub(super) candidate: usize,
    pub(super) scope: Scope,
    pub(super) model: Arc<Model>,
    /// The entrant that it differs from in its morsel alone.
    pub(super) base: Option<usize>,
    /// Rows a second of each turn.
    pub(super) rates: Vec<f64>,
    /// The metric in multiples of the default's, or that of `base`, in the same round.
    pub(super) ratios: Vec<f64>,
    pub(super) memory_bytes: Option<u64>,
    /// Shares of the time in which the device computed, in each turn.
    pub(super) device_use: Vec<f64>,
    pub(super) failure: Option<String>,
    /// Why it had no turn.
    pub(super) left_out: Option<&'static str>,
}

impl Entrant {
    pub(super) fn new(candidates: &[Candidate], candidate: usize, choice: Choice) -> Self {
        Self {
            choice,
            candidate,
            scope: Scope::of(&candidates[candidate].variant, &candidates[0].variant),
            model: Arc::new(candidates[candidate].model.with_choice(choice).in_whole_batches()),
            base: None,
            rates: vec![],
            ratios: vec![],
            memory_bytes: None,
            device_use: vec![],
            failure: None,
            left_out: None,
        }
    }

    pub(super) fn is_in_the_race(&self) -> bool {
        self.failure.is_none() && self.left_out.is_none()
    }

    /// Whether both differ in their batch size at most.
    pub(super) fn is_of_family(&self, other: &Self) -> bool {
        let family =
            |entrant: &Self| (entrant.candidate, entrant.choice.concurrency, entrant.choice.num_cpus);
        family(self) == family(other)
    }
}

/// Which models an outcome is for: those that leave device and precision open may use what others may not. Each has a
/// winner of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) any_device: bool,
    pub(super) any_precision: bool,
}

impl Scope {
    /// The models as they are.
    pub(super) const OWN: Self = Self { any_device: false, any_precision: false };

    /// The narrowest that `variant` belongs to; `own` is that of the model as it is.
    pub(super) fn of(variant: &Variant, own: &Variant) -> Self {
        Self { any_device: variant.device != own.device, any_precision: variant.precision != own.precision }
    }

    /// Whether what belongs to `other` belongs to this, too.
    pub(super) fn covers(self, other: Self) -> bool {
        self.any_device >= other.any_device && self.any_precision >= other.any_precision
    }

    /// The narrowest that covers both.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            any_device: self.any_device || other.any_device,
            any_precision: self.any_precision || other.any_precision,
        }
    }

    /// How many of device and precision it leaves open.
    pub(super) fn width(self) -> usize {
        usize::from(self.any_device) + usize::from(self.any_precision)
    }

    /// How a tuning's key has it.
    pub(super) fn named(self, own: &Variant) -> Variant {
        let or_open = |own: &str, is_open: bool| if is_open { OPEN.to_owned() } else { own.to_owned() };
        Variant {
            device: or_open(&own.device, self.any_device),
            precision: or_open(&own.precision, self.any_precision),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_scopes_cover_narrower_ones() {
        let variant = |device: &str, precision: &str| Variant {
            device: device.to_owned(),
            precision: precision.to_owned(),
        };
        let own = variant("cpu", "f32");
        let (device, precision) =
            (Scope::of(&variant("openvino", "f32"), &own), Scope::of(&variant("cpu", "int8"), &own));
        let both = Scope::of(&variant("openvino", "bf16"), &own);
        assert_eq!(Scope::of(&own, &own), Scope::OWN);
        assert!(both.covers(device) && both.covers(precision) && both.covers(Scope::OWN));
        assert!(!device.covers(precision) && !precision.covers(device) && device.covers(Scope::OWN));
        assert_eq!((device.or(precision), both.width(), Scope::OWN.width()), (both, 2, 0));
        assert_eq!((device.named(&own), both.named(&own)), (variant("auto", "f32"), variant("auto", "auto")));
    }
}
