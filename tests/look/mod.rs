//! Images to look at: files of images, pictures in the terminal, pages for a browser.

mod contact_sheet;
mod image_files;
mod show;
