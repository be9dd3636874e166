//! `phash(image)`: a hash with a small distance between images that look alike.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::UInt64Array;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use fast_image_resize::FilterType;

use super::hash::{SIDE, hash};
use super::parameters;
use super::parameters::Parameter;
use super::pixels::{least_scale, scale};
use super::row_image::RowImage;
use super::rows::Call;

const SIGNATURE: &str = "phash(image)";
const PARAMETERS: &[Parameter] = &[];

/// Minimum side after decoding: twice the hash's, so that most of the scaling is left to the filter.
const DECODED_SIDE: u32 = 2 * SIDE;

/// The function `phash(image)`; see [`super::hash`] for the algorithm.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct PerceptualHash {
    signature: Signature,
}

impl Default for PerceptualHash {
    fn default() -> Self {
        Self { signature: parameters::signature(&[PARAMETERS]) }
    }
}

impl ScalarUDFImpl for PerceptualHash {
    fn name(&self) -> &str {
        "phash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(parameters::coerce(arg_types))
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        parameters::check(SIGNATURE, &args, PARAMETERS)?;
        Ok(Arc::new(Field::new(self.name(), DataType::UInt64, true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let call = Call::new(SIGNATURE, PARAMETERS, args)?;
        let hashes = call.each_image(|_, image| hash_of(image).map(Some))?;
        call.output(Arc::new(UInt64Array::from(hashes)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            super::documentation(
                "A perceptual hash, near (see hamming_distance) for images that look alike: 64 bits of the lowest frequencies of the image, equal to those of ImageHash for Python but for rounding.",
                SIGNATURE,
            )
            .with_sql_example("SELECT path, phash(image) FROM read_images('photos/');")
            .build()
        });
        Some(&DOCUMENTATION)
    }
}

fn hash_of(encoded: &RowImage<'_>) -> Result<u64, String> {
    let least = |width, height| least_scale((width, height), (DECODED_SIDE, DECODED_SIDE));
    let image = encoded.decode(least)?;
    let small = scale(&image, (SIDE, SIDE), FilterType::Lanczos3, encoded.limits)?;
    Ok(hash(&small.pixels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::decode::Limits;

    /// `imagehash.phash(image.convert("RGB"))` by ImageHash 4.3.2 and Pillow 13.0.0.
    const REFERENCE: [(&str, u64); 8] = [
        ("astronaut.png", 0xc292_4c55_32bd_dfc8),
        ("camera.png", 0xbff1_c1c0_434e_8cbc),
        ("cheetah1.jpg", 0x9568_6d53_6b2c_3e32),
        ("china.jpg", 0x9db8_c2c7_445d_bb24),
        ("coffee.png", 0xbb83_2037_6c0f_3637),
        ("lion.jpg", 0xb4f3_d252_53c3_083f),
        ("rocket.jpg", 0xc037_1bec_1be5_1267),
        ("tower.jpg", 0xe996_6a65_8699_6696),
    ];

    #[test]
    fn hashes_equal_those_of_image_hash_up_to_rounding() {
        let home = std::env::var_os("SEEQUEL_HOME").unwrap_or_else(|| ".seequel".into());
        let limits = Limits::pixels(100_000_000);
        for (photo, expected) in REFERENCE {
            let path = std::path::Path::new(&home).join("photos").join(photo);
            let bytes = std::fs::read(path).unwrap();
            let found = hash_of(&RowImage::new(&bytes, &limits)).unwrap();
            let differing = (found ^ expected).count_ones();
            assert!(differing <= 2, "{photo}: {found:#x} differs in {differing} bits from {expected:#x}");
        }
    }
}
