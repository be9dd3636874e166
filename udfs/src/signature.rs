//! Signatures of functions that check and coerce their arguments themselves.

use datafusion::logical_expr::{Coercion, Signature, TypeSignature, TypeSignatureClass, Volatility};

/// A signature that leaves coercion to the function's `coerce_types`, as [`Signature::user_defined`] does, and that
/// `SHOW FUNCTIONS` and `information_schema.parameters` list.
///
/// They list the types that a signature names, and a user-defined one names none. Here each of `examples` becomes a
/// row, if the function's return type can be told from types alone.
///
/// `coerce_types` must accept everything and leave refusals to `return_field_from_args`, where they are not wrapped in
/// another error; a call without arguments gets there too. A call that fits an example as it is, is not coerced:
/// integers of any width, say, where the example says [`TypeSignatureClass::Integer`].
///
/// ```
/// # use datafusion::logical_expr::{TypeSignatureClass, Volatility};
/// use seequel_udfs::{arguments, listed_signature};
///
/// let image_and_side = arguments(&[TypeSignatureClass::Binary, TypeSignatureClass::Integer]);
/// let signature = listed_signature(Volatility::Immutable, vec![image_and_side]);
/// assert_eq!(signature.type_signature.get_example_types().len(), 1);
/// ```
#[must_use]
pub fn listed_signature(volatility: Volatility, examples: Vec<TypeSignature>) -> Signature {
    let mut alternatives = vec![TypeSignature::UserDefined, TypeSignature::Nullary];
    alternatives.extend(examples);
    Signature::one_of(alternatives, volatility)
}

/// An example for [`listed_signature`]: a call with arguments of these types.
#[must_use]
pub fn arguments(classes: &[TypeSignatureClass]) -> TypeSignature {
    TypeSignature::Coercible(classes.iter().cloned().map(Coercion::new_exact).collect())
}
