//! The marker: what all inference functions have in common as DataFusion sees them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::call::{Arguments, Call, ReadCall};
use super::classify::CLASSIFY;
use super::classify_top_k::CLASSIFY_TOP_K;
use super::detect::DETECT;
use super::embed::EMBED;
use super::function::Function;
use super::models::Models;
use super::predict::PREDICT;
use crate::images::decoded_image_type;
use crate::signature::{arguments, listed_signature};

static FUNCTIONS: [&Function; 5] = [&CLASSIFY, &CLASSIFY_TOP_K, &EMBED, &DETECT, &PREDICT];

/// An inference function of SQL.
///
/// It is declared volatile, although a model gives equal predictions for equal images: DataFusion evaluates anything
/// else on literals while it plans, and planning must never run a model. The engine removes the calls from the
/// plan before volatility could cost anything.
///
/// The prediction's type may depend on the model, and so on the default model of a call that names none. DataFusion doesn't
/// show the session's settings to a function that is asked for its type; it makes the function anew for each change of
/// them.
#[derive(Debug, Clone)]
pub struct Inference {
    function: &'static Function,
    models: Arc<dyn Models>,
    default_model: String,
    signature: Signature,
}

impl Inference {
    /// All functions over the models of a session with such settings.
    #[must_use]
    pub fn functions(models: &Arc<dyn Models>, config: &ConfigOptions) -> Vec<ScalarUDF> {
        let function = |function: &&'static Function| Self {
            function,
            models: Arc::clone(models),
            default_model: models.default_model(config),
            signature: listed_signature(Volatility::Volatile, vec![arguments(&(function.example)())]),
        };
        FUNCTIONS.iter().map(function).map(ScalarUDF::new_from_impl).collect()
    }

    /// What a call with such arguments asks, and the arguments that it asks it of.
    ///
    /// # Errors
    /// Arguments that the function does not take.
    pub fn call<'a>(&self, args: &'a [Expr]) -> Result<(Call, &'a [Expr])> {
        let literal = |arg: &'a Expr| match arg {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        };
        let ReadCall { call, inputs } = self.read(args.iter().map(literal).collect())?;
        Ok((call, &args[inputs]))
    }

    fn prediction_type(&self, args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        let ReadCall { call, inputs } = self.read(args.scalar_arguments.to_vec())?;
        let inputs: Vec<_> = args.arg_fields[inputs]
            .iter()
            .map(|field| decoded_image_type(field.data_type()).clone())
            .collect();
        self.models.prediction_type(&call, &inputs)
    }

    /// The type for a call without literals, such as `SHOW FUNCTIONS` makes up. A query with such a call gets no further
    /// than the extraction of its calls, which says what is wrong.
    fn example_type(&self, args: &ReturnFieldArgs<'_>) -> Option<DataType> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let is_example = args.scalar_arguments.iter().all(Option::is_none)
            && self.signature.type_signature.get_example_types().contains(&types);
        (self.function.example_type)().filter(|_| is_example)
    }

    fn read(&self, literals: Vec<Option<&ScalarValue>>) -> Result<ReadCall> {
        let Self { function, default_model, .. } = self;
        (function.read)(&Arguments { signature: function.signature, literals, default_model })
    }
}

impl PartialEq for Inference {
    fn eq(&self, other: &Self) -> bool {
        let Self { function, models, default_model, signature } = self;
        function.name == other.function.name
            && Arc::ptr_eq(models, &other.models)
            && *default_model == other.default_model
            && *signature == other.signature
    }
}

impl Eq for Inference {}

impl Hash for Inference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { function, models, default_model, signature } = self;
        function.name.hash(state);
        Arc::as_ptr(models).cast::<()>().hash(state);
        default_model.hash(state);
        signature.hash(state);
    }
}

impl ScalarUDFImpl for Inference {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Decodes dictionaries, and refuses nothing: DataFusion would wrap what is said here, but not what is said of the
    /// result's type.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.iter().map(|data_type| decoded_image_type(data_type).clone()).collect())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("{} derives its type in return_field_from_args", self.function.signature)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let data_type = match self.prediction_type(&args) {
            Ok(data_type) => data_type,
            Err(error) => self.example_type(&args).ok_or(error)?,
        };
        Ok(Arc::new(Field::new(self.function.name, data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let literals = args.args.iter().map(|arg| match arg {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        });
        let ReadCall { call, inputs } = self.read(literals.collect())?;
        let inputs = &args.args[inputs];
        let arrays = ColumnarValue::values_to_arrays(inputs)?;
        let predictions = self.models.predict(&call, &arrays, &args.config_options)?;
        if inputs.iter().all(|input| matches!(input, ColumnarValue::Scalar(_))) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&predictions, 0)?));
        }
        Ok(ColumnarValue::Array(predictions))
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let default_model = self.models.default_model(config);
        Some(ScalarUDF::new_from_impl(Self { default_model, ..self.clone() }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.function.documentation)
    }
}
