//! Common parts of the functions from an image to an image: types, coercion, and the field marked as an image.

use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};

use super::parameters;
use super::parameters::Parameter;
use super::rows::image_field;

/// The specific parts of one function from an image to an image.
pub(crate) trait ToImage: Debug + Eq + Hash + Send + Sync + 'static {
    /// Name of the function in SQL.
    const NAME: &'static str;
    /// The parameters after the image, for each form of the call.
    const WAYS: &'static [&'static [Parameter]];

    /// The signature that `SHOW FUNCTIONS` lists.
    fn signature() -> Signature {
        parameters::signature(Self::WAYS)
    }

    /// Rejects invalid calls of the function.
    fn check(args: &ReturnFieldArgs<'_>) -> Result<()>;

    /// Computes the images of a batch.
    fn evaluate(args: ScalarFunctionArgs) -> Result<ColumnarValue>;

    /// The documentation shown by `SHOW FUNCTIONS`.
    fn documentation() -> &'static Documentation;
}

/// The SQL function described by `F`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ImageFunction<F> {
    signature: Signature,
    function: PhantomData<F>,
}

impl<F: ToImage> Default for ImageFunction<F> {
    fn default() -> Self {
        Self { signature: F::signature(), function: PhantomData }
    }
}

impl<F: ToImage> ScalarUDFImpl for ImageFunction<F> {
    fn name(&self) -> &str {
        F::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(parameters::coerce(arg_types))
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::BinaryView)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        F::check(&args)?;
        Ok(image_field(F::NAME))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        F::evaluate(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(F::documentation())
    }
}
