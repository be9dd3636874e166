//! Ensembles: several classifiers that predict as one.
//!
//! | `combine` | the class | its confidence | `model` |
//! |---|---|---|---|
//! | `max_confidence` | of the most confident member | that member's | that member |
//! | `mean` | with the highest mean confidence over all members | that mean | the ensemble |
//! | `weights` | with the highest weighted mean | that mean | the ensemble |
//! | `vote` | ranked first by most members; ties go to the higher confidence | mean of those members' | the ensemble |

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::model::runtime::Model;
use crate::model::settings::keywords;
use crate::tasks::{Class, Task, top_classes};
use crate::{Error, Result};

/// Maximum number of members. Each one costs a run per image, and with many more the weights become meaningless.
const MAX_MEMBERS: usize = 64;

/// Every key of an ensemble's OPTIONS.
pub(crate) const ENSEMBLE_OPTIONS: [&str; 2] = ["combine", "weights"];

keywords! {
    /// How the members' predictions are combined.
    pub enum Combine {
        /// The most confident member decides.
        MaxConfidence = "max_confidence",
        /// The mean of all members' confidences decides.
        Mean = "mean",
        /// The majority decides.
        Vote = "vote",
        /// The weighted mean of all members' confidences decides.
        Weights = "weights",
    }
}

/// Classifiers of the same classes that predict as one.
///
/// Like models, two ensembles are equal if they are the same registration.
#[derive(Debug)]
pub struct Ensemble {
    name: String,
    members: Vec<Arc<Model>>,
    combine: Combine,
    /// One per member; they sum to 1. Empty unless confidences are averaged.
    weights: Vec<f32>,
    /// Number of the registration, unique in the process.
    id: u64,
}

/// A `CREATE MODEL … AS ENSEMBLE` statement.
///
/// ```
/// use seequel::model::CreateEnsemble;
///
/// let create = CreateEnsemble::new("both", ["resnet", "vit"]).with_option("combine", "mean");
/// assert_eq!(create.members.len(), 2);
/// ```
///
/// [`ModelRegistry::create_ensemble`](crate::model::ModelRegistry::create_ensemble) registers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateEnsemble {
    /// Name of the ensemble in SQL.
    pub name: String,
    /// Replace a model of that name.
    pub or_replace: bool,
    /// Keep an existing model of that name.
    pub if_not_exists: bool,
    /// Names of the members.
    pub members: Vec<String>,
    /// OPTIONS, as text.
    pub options: BTreeMap<String, String>,
}

impl CreateEnsemble {
    /// Without options; the name must not be taken.
    pub fn new(name: impl Into<String>, members: impl IntoIterator<Item: Into<String>>) -> Self {
        Self {
            name: name.into(),
            or_replace: false,
            if_not_exists: false,
            members: members.into_iter().map(Into::into).collect(),
            options: BTreeMap::new(),
        }
    }

    /// Adds one of OPTIONS, with its value as text: `"0.7,0.3"`.
    #[must_use]
    pub fn with_option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(key.into(), value.into());
        self
    }

    /// Whether to replace a model of that name.
    #[must_use]
    pub fn with_or_replace(mut self, or_replace: bool) -> Self {
        self.or_replace = or_replace;
        self
    }

    /// Whether to keep an existing model of that name.
    #[must_use]
    pub fn with_if_not_exists(mut self, if_not_exists: bool) -> Self {
        self.if_not_exists = if_not_exists;
        self
    }
}

impl Ensemble {
    /// Checks that `members` can form an ensemble and parses OPTIONS.
    ///
    /// # Errors
    /// Fewer than two members, a duplicate member, a member that is not a classifier, labels that differ; an unknown or
    /// malformed option.
    pub(crate) fn new(
        name: &str,
        members: Vec<Arc<Model>>,
        options: &BTreeMap<String, String>,
    ) -> Result<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        check_members(name, &members)?;
        let invalid = |option: &str, reason: String| Error::Option {
            model: name.to_owned(),
            option: option.to_owned(),
            reason,
        };
        if let Some(key) = options.keys().find(|key| !ENSEMBLE_OPTIONS.contains(&key.as_str())) {
            return Err(invalid(
                key,
                "an ensemble has the options combine and weights, and no others".to_owned(),
            ));
        }
        let combine = match options.get("combine") {
            Some(value) => value.parse().map_err(|error| invalid("combine", format!("{error}")))?,
            None => Combine::MaxConfidence,
        };
        let weights = weights(combine, options.get("weights"), members.len());
        let weights = weights.map_err(|reason| invalid("weights", reason))?;
        Ok(Self { name: name.to_owned(), members, combine, weights, id: NEXT_ID.fetch_add(1, Relaxed) })
    }

    /// The ensemble of another process, from its members here.
    ///
    /// # Errors
    /// Members that can't form an ensemble, or not one weight for each.
    #[cfg(feature = "cluster")]
    pub(crate) fn sent(
        name: &str,
        members: Vec<Arc<Model>>,
        combine: Combine,
        weights: Vec<f32>,
    ) -> Result<Self> {
        if !weights.is_empty() && weights.len() != members.len() {
            let reason = format!("{} weights for {} members", weights.len(), members.len());
            return Err(Error::Model { model: name.to_owned(), reason });
        }
        Ok(Self { combine, weights, ..Self::new(name, members, &BTreeMap::new())? })
    }

    /// Name of the ensemble in SQL.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The member models, at least two.
    #[must_use]
    pub fn members(&self) -> &[Arc<Model>] {
        &self.members
    }

    /// How their predictions are combined.
    #[must_use]
    pub fn combine(&self) -> Combine {
        self.combine
    }

    /// Weight of each member, in the order of the members; empty unless confidences are averaged.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Whether predictions use the confidences of all classes rather than each member's best class.
    pub(crate) fn averages(&self) -> bool {
        !self.weights.is_empty()
    }

    /// The best class if [`Self::averages`] is false, from each member's best class; with the deciding member, if any.
    pub(crate) fn elect(&self, best: &[Class]) -> Option<(Class, Option<usize>)> {
        let is_higher = |a: &(usize, &Class), b: &(usize, &Class)| b.1.confidence > a.1.confidence;
        if self.combine != Combine::Vote {
            let winner = best.iter().enumerate().reduce(|a, b| if is_higher(&a, &b) { b } else { a })?;
            return Some((*winner.1, Some(winner.0)));
        }
        let mut votes: BTreeMap<usize, (usize, f32)> = BTreeMap::new();
        for Class { class, confidence } in best {
            let (voters, sum) = votes.entry(*class).or_default();
            *voters += 1;
            *sum += confidence;
        }
        let stronger = |a: &(usize, f32), b: &(usize, f32)| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1));
        let (class, (voters, sum)) = votes.into_iter().min_by(|(_, a), (_, b)| stronger(a, b))?;
        Some((Class { class, confidence: sum / voters as f32 }, None))
    }

    /// The `k` best classes if [`Self::averages`] is true, from each member's confidences of all classes.
    pub(crate) fn average(&self, confidences: &[&[f32]], k: usize) -> Vec<Class> {
        let classes = confidences.iter().map(|member| member.len()).min().unwrap_or(0);
        let mean = |class: usize| -> f32 {
            confidences.iter().zip(&self.weights).map(|(member, weight)| member[class] * weight).sum()
        };
        top_classes(&(0..classes).map(mean).collect::<Vec<_>>(), k)
    }
}

fn check_members(name: &str, members: &[Arc<Model>]) -> Result<()> {
    let error = |reason: String| Err(Error::Model { model: name.to_owned(), reason });
    if !(2..=MAX_MEMBERS).contains(&members.len()) {
        return error(format!("an ensemble has 2 to {MAX_MEMBERS} members, not {}", members.len()));
    }
    for (position, member) in members.iter().enumerate() {
        let spec = member.spec();
        if members[..position].contains(member) {
            return error(format!("member '{}' is named twice", spec.name));
        }
        if spec.task != Task::ImageClassification {
            return error(format!("member '{}' is for {}, and an ensemble classifies", spec.name, spec.task));
        }
        if let Some(numbers) = spec.numbers().next() {
            let (member, port) = (&spec.name, &numbers.port);
            return error(format!(
                "member '{member}' takes input {port} beside an image, which an ensemble can't give"
            ));
        }
    }
    let first = members[0].spec();
    for member in members[1..].iter().map(|member| member.spec()) {
        let (ours, theirs) = (first.output.classes, member.output.classes);
        let of = format!("members '{}' and '{}'", first.name, member.name);
        if ours != theirs {
            return error(format!("{of} disagree: {ours} classes and {theirs}"));
        }
        let differs = |class: &usize| first.labels.get(*class) != member.labels.get(*class);
        if let Some(class) = (0..ours).find(differs) {
            let (ours, theirs) = (first.labels.get(class), member.labels.get(class));
            return error(format!("{of} disagree on their labels: class {class} is '{ours}' and '{theirs}'"));
        }
    }
    Ok(())
}

/// The weight of each member if confidences are averaged, else an empty list.
fn weights(combine: Combine, given: Option<&String>, members: usize) -> Result<Vec<f32>, String> {
    match (combine, given) {
        (Combine::MaxConfidence | Combine::Vote, None) => Ok(vec![]),
        (Combine::Mean, None) => Ok(vec![1.0 / members as f32; members]),
        (Combine::Weights, None) => {
            Err("combine 'weights' requires weights, such as weights '0.7,0.3'".to_owned())
        }
        (Combine::Weights, Some(list)) => {
            let weight = |text: &str| {
                let weight =
                    text.trim().parse::<f32>().ok().filter(|weight| weight.is_finite() && *weight >= 0.0);
                weight.ok_or_else(|| format!("'{}' is not a number of 0 or more", text.trim()))
            };
            let weights = list.split(',').map(weight).collect::<Result<Vec<_>, _>>()?;
            let sum = weights.iter().sum::<f32>();
            if weights.len() != members {
                return Err(format!("{} weights for {members} members", weights.len()));
            }
            if !sum.is_normal() {
                return Err(format!("'{list}' adds up to {sum}"));
            }
            Ok(weights.into_iter().map(|weight| weight / sum).collect())
        }
        (other, Some(_)) => Err(format!("combine '{other}' takes no weights; use combine 'weights'")),
    }
}

impl PartialEq for Ensemble {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Ensemble {}

impl Hash for Ensemble {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl PartialOrd for Ensemble {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.id.cmp(&other.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::runtime::Runtime;
    use crate::model::testing::Folder;

    fn ensemble(options: &[(&str, &str)]) -> Ensemble {
        let member = || {
            let spec = Folder::classifier().unwrap().resolve(&[]).unwrap();
            Arc::new(Model::new(spec, Runtime::new("none".as_ref())))
        };
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Ensemble::new("e", vec![member(), member(), member()], &options).unwrap()
    }

    fn class(class: usize, confidence: f32) -> Class {
        Class { class, confidence }
    }

    #[test]
    fn most_confident_member_wins_and_ties_go_to_the_first() {
        let ensemble = ensemble(&[]);
        assert_eq!(
            ensemble.elect(&[class(0, 0.5), class(1, 0.9), class(2, 0.9)]),
            Some((class(1, 0.9), Some(1)))
        );
    }

    #[test]
    fn majority_beats_a_more_confident_minority() {
        let ensemble = ensemble(&[("combine", "vote")]);
        assert_eq!(
            ensemble.elect(&[class(0, 0.25), class(1, 0.9), class(0, 0.5)]),
            Some((class(0, 0.375), None))
        );
        assert_eq!(
            ensemble.elect(&[class(0, 0.25), class(1, 0.9), class(2, 0.5)]),
            Some((class(1, 0.9), None))
        );
    }

    #[test]
    fn weights_are_normalised_to_sum_to_one() {
        let ensemble = ensemble(&[("combine", "weights"), ("weights", "2, 1,1")]);
        assert_eq!(ensemble.weights(), [0.5, 0.25, 0.25]);
        let ranked = ensemble.average(&[&[1.0, 0.0], &[0.0, 1.0], &[0.0, 1.0]], 2);
        assert_eq!(ranked, [class(0, 0.5), class(1, 0.5)]);
    }
}
