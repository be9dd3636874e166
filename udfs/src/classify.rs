//! `classify(image [, model])`: the best class of an image.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    TypeSignatureClass, Volatility,
};

use crate::images::decoded_image_type;
use crate::{Models, arguments, check_image_type, listed_signature};

const SIGNATURE: &str = "classify(image [, model])";

/// Fields of what `classify` returns; every one is nullable.
///
/// | field | type | holds |
/// |---|---|---|
/// | `label` | Utf8 | name of the class, NULL when the row failed |
/// | `class` | Int32 | number of the class in the model's output, from 0 |
/// | `confidence` | Float32 | probability of the class, 0 to 1 |
/// | `model` | Utf8 | name of the model that answered |
/// | `error` | Utf8 | why the row failed, NULL when it did not |
#[must_use]
pub fn classification_fields() -> &'static Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
        Fields::from(vec![
            Field::new("label", DataType::Utf8, true),
            Field::new("class", DataType::Int32, true),
            Field::new("confidence", DataType::Float32, true),
            Field::new("model", DataType::Utf8, true),
            Field::new("error", DataType::Utf8, true),
        ])
    });
    &FIELDS
}

/// `Struct<label, class, confidence, model, error>`: see [`classification_fields`].
#[must_use]
pub fn classification_type() -> DataType {
    DataType::Struct(classification_fields().clone())
}

/// The function `classify(image [, model])`.
///
/// It is declared volatile, although a model gives equal answers to equal images: DataFusion evaluates anything
/// else on literals while it plans, and planning must never run a model. The engine removes the calls from the
/// plan before volatility could cost anything.
#[derive(Debug)]
pub struct Classify {
    models: Arc<dyn Models>,
    signature: Signature,
}

impl Classify {
    /// Name of the function in SQL.
    pub const NAME: &'static str = "classify";

    /// The function over the models of a session.
    #[must_use]
    pub fn new(models: Arc<dyn Models>) -> Self {
        let image = arguments(&[TypeSignatureClass::Binary]);
        Self { models, signature: listed_signature(Volatility::Volatile, vec![image]) }
    }
}

impl PartialEq for Classify {
    fn eq(&self, other: &Self) -> bool {
        let Self { models, signature } = self;
        Arc::ptr_eq(models, &other.models) && *signature == other.signature
    }
}

impl Eq for Classify {}

impl Hash for Classify {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { models, signature } = self;
        Arc::as_ptr(models).cast::<()>().hash(state);
        signature.hash(state);
    }
}

impl ScalarUDFImpl for Classify {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Decodes dictionaries, and refuses nothing: DataFusion would wrap what is said here, but not what is said of the
    /// result's type.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let mut coerced = arg_types.to_vec();
        if let Some(image) = coerced.first_mut() {
            *image = decoded_image_type(image).clone();
        }
        Ok(coerced)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("{SIGNATURE} derives its type in return_field_from_args")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let (image, model) = match args.arg_fields {
            [image] => (image, None),
            [image, model] => (image, Some(model.data_type())),
            other => return plan_err!("{SIGNATURE} takes one or two arguments, not {}", other.len()),
        };
        check_image_type(SIGNATURE, image.data_type())?;
        if let Some(other) = model.filter(|model| !model.is_string()) {
            return plan_err!("{SIGNATURE}: model must be the name of a model, not {other}");
        }
        if let Some(None) = args.scalar_arguments.get(1) {
            return plan_err!(
                "{SIGNATURE}: model must be a literal such as 'resnet', for it decides the plan"
            );
        }
        Ok(Arc::new(Field::new(Self::NAME, classification_type(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((image, rest)) = args.args.split_first() else {
            return internal_err!("{SIGNATURE} without arguments passed planning");
        };
        let model = match rest.first() {
            None => None,
            Some(ColumnarValue::Scalar(name)) => name.try_as_str().flatten(),
            Some(ColumnarValue::Array(_)) => {
                return internal_err!("{SIGNATURE} with a computed model passed planning");
            }
        };
        match image {
            ColumnarValue::Array(images) => {
                Ok(ColumnarValue::Array(self.models.classify(images, model, &args.config_options)?))
            }
            ColumnarValue::Scalar(image) => {
                let answer = self.models.classify(&image.to_array()?, model, &args.config_options)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?))
            }
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            Documentation::builder(
                datafusion::logical_expr::DocSection { include: true, label: "Inference Functions", description: None },
                "The most probable class of an image. A row that can't be decoded has a NULL label and says why in `error`; a NULL image gives NULL.",
                SIGNATURE,
            )
            .with_argument("image", "The bytes of an image file: a binary column, or a struct with a field `bytes`.")
            .with_argument("model", "Name of a model, a literal. Without it: the setting inference.default_model.")
            .with_sql_example("SELECT path, classify(image)['label'] FROM read_images('photos/');")
            .build()
        });
        Some(&DOCUMENTATION)
    }
}
