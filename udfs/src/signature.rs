//! Signatures of functions that check and coerce their arguments themselves.

use datafusion::logical_expr::{Coercion, Signature, TypeSignature, TypeSignatureClass, Volatility};

/// A signature that leaves coercion to the function's `coerce_types`, like [`Signature::user_defined`], but that
/// `SHOW FUNCTIONS` and `information_schema.parameters` list.
///
/// They list the types of a signature, and a user-defined one has none. Here each of `examples` gives a row, if the
/// function's return type can be derived from types alone.
///
/// `coerce_types` must accept everything and leave errors to `return_field_from_args`, where they are not wrapped in
/// another error; a call without arguments also gets there. A call that matches an example is not coerced, such as
/// integers of any width for [`TypeSignatureClass::Integer`].
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
