//! `\show`: images in the terminal, drawn with the graphics it has.

mod blocks;
mod graphics;
mod grid;
mod inline;
mod show;
mod sixel;

pub(crate) use show::show;
