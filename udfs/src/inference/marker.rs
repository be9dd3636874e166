//! The marker: the scalar UDF behind every inference function.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::call::{Arguments, Call, ReadCall, Request};
use super::classify::CLASSIFY;
use super::classify_top_k::CLASSIFY_TOP_K;
use super::detect::DETECT;
use super::embed::EMBED;
use super::function::Function;
use super::image_error::IMAGE_ERROR;
use super::models::Models;
use super::predict::PREDICT;
use crate::images::decoded_image_type;
use crate::signature::{arguments, listed_signature};

static FUNCTIONS: [&Function; 6] = [&CLASSIFY, &CLASSIFY_TOP_K, &EMBED, &DETECT, &PREDICT, &IMAGE_ERROR];

/// The position of the argument that names the model in calls of an inference function, by the function's name in any
/// case; `None` for any other function.
///
/// ```
/// assert_eq!(seequel_udfs::model_position("classify_top_k"), Some(2));
/// assert_eq!(seequel_udfs::model_position("upper"), None);
/// ```
#[must_use]
pub fn model_position(function: &str) -> Option<usize> {
    FUNCTIONS.iter().find(|known| known.name.eq_ignore_ascii_case(function)).map(|known| known.model)
}

/// A SQL inference function.
///
/// It is declared volatile, although a model gives equal predictions for equal images: otherwise DataFusion would
/// evaluate calls on literals during planning, and planning must never run a model. The engine replaces the calls in
/// the plan before volatility prevents any optimisation.
///
/// The prediction's type may depend on the model, and thus on the default model of a call that names none. DataFusion
/// does not pass the session's settings when it requests the type, so it recreates the function when they change; see
/// `with_updated_config`.
#[derive(Debug, Clone)]
pub struct Inference {
    function: &'static Function,
    models: Arc<dyn Models>,
    default_model: String,
    signature: Signature,
}

impl Inference {
    /// All functions over `models`, for a session with the settings `config`.
    #[must_use]
    pub fn functions(models: &Arc<dyn Models>, config: &ConfigOptions) -> Vec<ScalarUDF> {
        FUNCTIONS.iter().map(|function| Self::udf(function, models, config)).collect()
    }

    /// The inference function that makes such requests; the `k` of `request` is ignored. Functions that run no model have
    /// that of their errors.
    #[must_use]
    pub fn requesting(request: Request, models: &Arc<dyn Models>, config: &ConfigOptions) -> ScalarUDF {
        let function = match request {
            Request::Classify => &CLASSIFY,
            Request::ClassifyTopK { .. } => &CLASSIFY_TOP_K,
            Request::Embed => &EMBED,
            Request::Detect => &DETECT,
            Request::Predict => &PREDICT,
            Request::ImageError | Request::ImageFunction => &IMAGE_ERROR,
        };
        Self::udf(function, models, config)
    }

    fn udf(function: &'static Function, models: &Arc<dyn Models>, config: &ConfigOptions) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self {
            function,
            models: Arc::clone(models),
            default_model: models.default_model(config),
            signature: listed_signature(Volatility::Volatile, vec![arguments(&(function.example)())]),
        })
    }

    /// The models that the function accesses.
    #[must_use]
    pub fn models(&self) -> &Arc<dyn Models> {
        &self.models
    }

    /// The same function over `models`, for a session with the settings `config`.
    #[must_use]
    pub fn over(&self, models: &Arc<dyn Models>, config: &ConfigOptions) -> ScalarUDF {
        Self::udf(self.function, models, config)
    }

    /// Reads a call with these arguments; also returns the arguments that are inputs of the model.
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

    /// Reads a call whose arguments are these literals, `None` where one is no literal.
    ///
    /// # Errors
    /// Arguments that the function does not take.
    pub fn call_of(&self, literals: Vec<Option<&ScalarValue>>) -> Result<Call> {
        Ok(self.read(literals)?.call)
    }

    fn prediction_type(&self, args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        let ReadCall { call, inputs } = self.read(args.scalar_arguments.to_vec())?;
        let inputs: Vec<_> = args.arg_fields[inputs]
            .iter()
            .map(|field| decoded_image_type(field.data_type()).clone())
            .collect();
        self.models.prediction_type(&call, &inputs)
    }

    /// The type for an example call without literals, as made by `SHOW FUNCTIONS`. A query with such a call fails
    /// later, when its calls are extracted.
    fn example_type(&self, args: &ReturnFieldArgs<'_>) -> Option<DataType> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let is_example = args.scalar_arguments.iter().all(Option::is_none)
            && self.signature.type_signature.get_example_types().contains(&types);
        (self.function.example_type)().filter(|_| is_example)
    }

    fn read(&self, literals: Vec<Option<&ScalarValue>>) -> Result<ReadCall> {
        let Self { function, default_model, .. } = self;
        let arguments = Arguments { function, literals, default_model };
        arguments.check_order()?;
        (function.read)(&arguments)
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

    /// Decodes dictionaries, and accepts everything: DataFusion wraps errors from here, but not those from
    /// `return_field_from_args`.
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
