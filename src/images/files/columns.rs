//! Which columns of a query are the names, contents and folders of its files.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use seequel_udfs::{check_image_type, decoded_image_type};

use crate::images::scan::is_image;

const STATEMENT: &str = "COPY … STORED AS IMAGES";

/// Name of the column that is preferred for names.
const NAME: &str = "name";

/// The places of columns in a query's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    content: usize,
    name: usize,
    partitions: Vec<(String, usize)>,
}

impl Columns {
    /// The column with images: the one that is marked as such, or the only binary one. Names are in the text column
    /// `name`, or in the first text column that is no partition column.
    ///
    /// # Errors
    /// A plan error if a column is missing or can't be told.
    pub(crate) fn find(schema: &Schema, partitions: &[String]) -> Result<Self> {
        let partitions = partitions.iter().map(|key| Ok((key.clone(), schema.index_of(key)?)));
        let partitions = partitions.collect::<Result<Vec<_>>>()?;
        let is_partition = |index: usize| partitions.iter().any(|(_, partition)| *partition == index);
        let columns = || schema.fields().iter().enumerate().filter(|(index, _)| !is_partition(*index));
        let texts = || columns().filter(|(_, field)| decoded_image_type(field.data_type()).is_string());
        let Some((name, _)) = texts().find(|(_, field)| field.name() == NAME).or_else(|| texts().next())
        else {
            return plan_err!(
                "{STATEMENT} names files by the column 'name' or the first text column, and the query has neither; add one, such as path"
            );
        };
        let binary: Vec<_> = columns().filter(|(_, field)| is_binary(field)).collect();
        let marked: Vec<_> = binary.iter().filter(|(_, field)| is_image(field)).collect();
        let content = match (marked.as_slice(), binary.as_slice()) {
            ([(content, _)], _) | ([], [(content, _)]) => *content,
            ([], []) => {
                return plan_err!(
                    "{STATEMENT} writes a column of images, and the query has none; add one, such as image or thumbnail(image, 256)"
                );
            }
            _ => {
                let names: Vec<_> = binary.iter().map(|(_, field)| format!("'{}'", field.name())).collect();
                return plan_err!(
                    "{STATEMENT} writes one column of images, and the query has {}; select one of them",
                    names.join(" and ")
                );
            }
        };
        Ok(Self { content, name, partitions })
    }

    /// These columns of a batch.
    ///
    /// # Errors
    /// A partition column whose values have no text, such as a struct.
    pub(crate) fn of(&self, batch: &RecordBatch) -> Result<Values> {
        let texts = |index: usize| -> Result<StringArray> {
            Ok(cast(batch.column(index), &DataType::Utf8)?.as_string::<i32>().clone())
        };
        let content = batch.column(self.content);
        let partitions = self.partitions.iter().map(|(key, index)| {
            let values = texts(*index).map_err(|_| {
                let data_type = batch.column(*index).data_type();
                exec_datafusion_err!(
                    "{STATEMENT}: the partition column '{key}' must be text or a number, not {data_type}"
                )
            })?;
            Ok((key.clone(), values))
        });
        Ok(Values {
            contents: cast(content, decoded_image_type(content.data_type()))?,
            names: texts(self.name)?,
            partitions: partitions.collect::<Result<_>>()?,
        })
    }
}

fn is_binary(field: &Field) -> bool {
    !field.data_type().is_null() && check_image_type(STATEMENT, field.data_type()).is_ok()
}

/// The columns of a batch that files are made of.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) contents: ArrayRef,
    names: StringArray,
    partitions: Vec<(String, StringArray)>,
}

impl Values {
    pub(crate) fn name(&self, row: usize) -> Option<&str> {
        self.names.is_valid(row).then(|| self.names.value(row))
    }

    /// Key and value of each partition column.
    pub(crate) fn partitions(&self, row: usize) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.partitions
            .iter()
            .map(move |(key, values)| (key.as_str(), values.is_valid(row).then(|| values.value(row))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::scan::{IMAGE_TYPE, TYPE_METADATA_KEY};

    fn find(fields: &[(&str, DataType)], partitions: &[&str]) -> Result<(usize, usize)> {
        let fields: Vec<_> =
            fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
        let partitions: Vec<_> = partitions.iter().map(|key| (*key).to_owned()).collect();
        Columns::find(&Schema::new(fields), &partitions).map(|columns| (columns.name, columns.content))
    }

    #[test]
    fn columns_are_found_by_type_and_name() {
        use DataType::{Binary, BinaryView, Int64, Utf8, Utf8View};
        assert_eq!(find(&[("n", Int64), ("path", Utf8View), ("image", BinaryView)], &[]).unwrap(), (1, 2));
        assert_eq!(find(&[("path", Utf8), ("name", Utf8), ("bytes", Binary)], &[]).unwrap(), (1, 2));
        assert_eq!(find(&[("label", Utf8), ("path", Utf8), ("b", Binary)], &["label"]).unwrap(), (1, 2));
        for (fields, message) in [
            (&[("b", Binary)][..], "names files by the column 'name' or the first text column"),
            (&[("path", Utf8)], "the query has none; add one"),
            (&[("path", Utf8), ("a", Binary), ("b", Binary)], "has 'a' and 'b'; select one of them"),
        ] {
            let error = find(fields, &[]).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_column_marked_as_image_is_preferred() {
        let marked = Field::new("image", DataType::BinaryView, true)
            .with_metadata([(TYPE_METADATA_KEY.to_owned(), IMAGE_TYPE.to_owned())].into());
        let digest = Field::new("digest", DataType::Binary, true);
        let path = Field::new("path", DataType::Utf8, true);
        let columns = Columns::find(&Schema::new(vec![path, digest, marked]), &[]).unwrap();
        assert_eq!(columns.content, 2);
    }
}
