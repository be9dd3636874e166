//! Reads a file in parts.

use std::io;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::PART_BYTES;
use super::messages::Part;

/// The parts of a file, until one can't be read by `reader`.
pub(super) fn parts(path: PathBuf, reader: &'static str) -> impl Stream<Item = Part> + Send {
    enum Reading {
        Closed(PathBuf),
        Open(File),
        Failed,
    }
    stream::unfold(Reading::Closed(path), move |reading| async move {
        let read = async {
            let mut file = match reading {
                Reading::Closed(path) => File::open(path).await?,
                Reading::Open(file) => file,
                Reading::Failed => return Ok(None),
            };
            let bytes = next(&mut file).await?;
            Ok::<_, io::Error>(bytes.map(|bytes| (bytes, file)))
        };
        match read.await {
            Ok(None) => None,
            Ok(Some((bytes, file))) => Some((Part { bytes, ..Part::default() }, Reading::Open(file))),
            Err(error) => {
                let failure = format!("{reader} can't read it: {error}");
                Some((Part { failure, ..Part::default() }, Reading::Failed))
            }
        }
    })
}

/// The next bytes of a file, if any.
async fn next(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut bytes = BytesMut::with_capacity(PART_BYTES);
    while bytes.len() < PART_BYTES {
        if file.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    Ok((!bytes.is_empty()).then(|| bytes.freeze()))
}
