//! Folders of good, corrupt, cut and huge files.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::random_sql::Choices;
use crate::support::{home, photos};

/// Files of a folder by what becomes of them.
pub(super) struct Files {
    pub(super) folder: TempDir,
    pub(super) good: usize,
    pub(super) bad: usize,
}

impl Files {
    pub(super) fn new(choices: &mut Choices) -> Self {
        let folder = tempfile::tempdir_in(home()).unwrap();
        let (mut good, mut bad) = (0, 0);
        let lion = fs::read(photos().join("lion.jpg")).unwrap();
        for number in 0..*choices.pick(&[1, 10, 60, 200]) {
            let place = folder.path().join(format!("{number:03}.jpg"));
            let is_good = match choices.below(12) {
                8 => Self::write(&place, &lion[..choices.below(lion.len())], false),
                9 => Self::write(&place, b"no image", false),
                10 => Self::write(&place, b"", false),
                11 => match choices.below(3) {
                    // More bytes than a file may have, and more pixels than an image.
                    0 => {
                        fs::File::create(&place).unwrap().set_len(300 << 20).unwrap();
                        false
                    }
                    1 => Self::write(&place, &with_size(&lion, 65_000, 65_000), false),
                    _ => {
                        let black = image::DynamicImage::new_rgb8(2000, 1500);
                        black.save_with_format(&place, image::ImageFormat::Png).unwrap();
                        true
                    }
                },
                _ => {
                    fs::hard_link(photos().join("lion.jpg"), &place).unwrap();
                    true
                }
            };
            if is_good { good += 1 } else { bad += 1 }
        }
        Self { folder, good, bad }
    }

    fn write(place: &Path, bytes: &[u8], is_good: bool) -> bool {
        fs::write(place, bytes).unwrap();
        is_good
    }

    pub(super) fn all(&self) -> usize {
        self.good + self.bad
    }
}

/// The JPEG with another size in its header.
fn with_size(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0] || marker == [0xff, 0xc2]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}
