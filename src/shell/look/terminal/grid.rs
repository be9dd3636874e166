//! Rows of pictures side by side, with captions below.
//!
//! ```text
//!  ▀▀▀▀▀▀▀▀▀▀  ▀▀▀▀▀▀▀▀▀▀  ▀▀▀▀▀▀▀▀▀▀     tiles of one width; as high as the highest of the row
//!  ▀▀▀▀▀▀▀▀▀▀              ▀▀▀▀▀▀▀▀▀▀
//!  lion.jpg    coffee.png  tower.jpg      captions, shortened to the width
//!  lion 93 %   cup 87 %    castle 55 %
//! ```

use console::{measure_text_width, truncate_str};
use image::imageops::overlay;
use image::{DynamicImage, RgbaImage};

use super::graphics::{Graphics, Terminal};
use super::{blocks, inline, sixel};
use crate::shell::look::picture::Picture;

/// Characters between tiles.
const GAP: u32 = 2;
/// Least width of a tile in characters.
const LEAST_TILE: u32 = 24;
/// Most characters and lines of an image that is shown alone: a thumbnail, however large the terminal.
const MAX_COLUMNS: u32 = 80;
const MAX_LINES: u32 = 30;
/// Lines below an image that is shown alone, for its caption and the next prompt.
const REST_LINES: u32 = 3;

/// A picture, or why there is none, and lines of text below it.
#[derive(Debug)]
pub(crate) struct Tile {
    pub(crate) picture: Result<Picture, String>,
    pub(crate) captions: Vec<String>,
}

/// The places for tiles on a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    terminal: Terminal,
    /// Size of a tile's picture in characters and lines.
    columns: u32,
    lines: u32,
    /// Tiles in a row.
    pub(crate) tiles: usize,
}

impl Grid {
    /// As many tiles in a row as fit.
    pub(crate) fn of(terminal: Terminal) -> Self {
        let tiles = ((terminal.columns + GAP) / (LEAST_TILE + GAP)).max(1);
        let columns = ((terminal.columns + GAP) / tiles).saturating_sub(GAP).max(1);
        // A character is about twice as high as wide.
        Self { terminal, columns, lines: (columns * 5 / 12).max(1), tiles: tiles as usize }
    }

    /// One large tile.
    pub(crate) fn single(terminal: Terminal) -> Self {
        let columns = terminal.columns.clamp(1, MAX_COLUMNS);
        let lines = terminal.lines.saturating_sub(REST_LINES).clamp(1, MAX_LINES);
        Self { terminal, columns, lines, tiles: 1 }
    }

    /// Width and height that a picture must fit, in pixels.
    pub(crate) fn picture_size(&self) -> (u32, u32) {
        (self.columns * self.terminal.cell.0, self.lines * self.terminal.cell.1)
    }

    /// The text that draws a row of tiles, of which there are at most [`Self::tiles`].
    ///
    /// # Errors
    /// The error of an encoder.
    pub(crate) fn draw(&self, row: &[Tile]) -> Result<String, String> {
        let mut text = self.draw_pictures(row)?;
        let captions = row.iter().map(|tile| tile.captions.len()).max().unwrap_or_default();
        for line in 0..captions {
            let cells = row.iter().map(|tile| self.caption(tile.captions.get(line)));
            text += cells.collect::<Vec<_>>().join(&gap()).trim_end();
            text.push('\n');
        }
        Ok(text)
    }

    /// A caption as wide as a tile; a single tile's is not shortened.
    fn caption(&self, caption: Option<&String>) -> String {
        let caption = caption.map_or("", String::as_str);
        if self.tiles == 1 {
            return caption.to_owned();
        }
        let shortened = truncate_str(caption, self.columns as usize, "…");
        let missing = (self.columns as usize).saturating_sub(measure_text_width(&shortened));
        format!("{shortened}{}", " ".repeat(missing))
    }

    fn draw_pictures(&self, row: &[Tile]) -> Result<String, String> {
        let pictures: Vec<_> = row.iter().map(|tile| tile.picture.as_ref().ok()).collect();
        let height = pictures.iter().flatten().map(|picture| picture.pixels.height()).max();
        let Some(height) = height else { return Ok(String::new()) };
        let lines = height.div_ceil(self.terminal.cell.1);
        let columns = row.len() as u32 * (self.columns + GAP) - GAP;
        let drawn = match self.terminal.graphics {
            Graphics::Blocks(colours) => {
                let tiles = pictures.iter().map(|picture| {
                    let lines = picture.map(|picture| blocks::lines(&picture.pixels, colours));
                    (lines.unwrap_or_default(), picture.map_or(0, |picture| picture.pixels.width()))
                });
                return Ok(self.side_by_side(&tiles.collect::<Vec<_>>(), lines));
            }
            Graphics::Kitty => inline::kitty(&self.composed(&pictures, lines), columns, lines)?,
            Graphics::ITerm2 => inline::iterm2(&self.composed(&pictures, lines), columns, lines)?,
            Graphics::Sixel => sixel::sixel(&self.composed(&pictures, lines)),
        };
        Ok(drawn + "\n")
    }

    /// Lines of half-blocks, each tile with its width, filled up with blanks.
    fn side_by_side(&self, tiles: &[(Vec<String>, u32)], lines: u32) -> String {
        let cell = |(lines, width): &(Vec<String>, u32), line: u32| match lines.get(line as usize) {
            Some(drawn) => format!("{drawn}{}", " ".repeat(self.columns.saturating_sub(*width) as usize)),
            None => " ".repeat(self.columns as usize),
        };
        let line = |line: u32| {
            let cells: Vec<_> = tiles.iter().map(|tile| cell(tile, line)).collect();
            cells.join(&gap()).trim_end().to_owned() + "\n"
        };
        (0..lines).map(line).collect()
    }

    /// All pictures of a row in one image, transparent between them.
    fn composed(&self, pictures: &[Option<&Picture>], lines: u32) -> RgbaImage {
        let (width, height) = self.terminal.cell;
        let columns = pictures.len() as u32 * (self.columns + GAP) - GAP;
        let mut composed = RgbaImage::new(columns * width, lines * height);
        for (index, picture) in pictures.iter().enumerate() {
            let Some(picture) = picture else { continue };
            let pixels = DynamicImage::ImageRgb8(picture.pixels.clone()).into_rgba8();
            let left = index as u32 * (self.columns + GAP) * width;
            overlay(&mut composed, &pixels, left.into(), 0);
        }
        composed
    }
}

fn gap() -> String {
    " ".repeat(GAP as usize)
}

#[cfg(test)]
mod tests {
    use console::strip_ansi_codes;
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::shell::look::terminal::graphics::Colours;

    fn terminal(graphics: Graphics, cell: (u32, u32)) -> Terminal {
        Terminal { graphics, columns: 80, lines: 24, cell }
    }

    fn tile(width: u32, height: u32, captions: &[&str]) -> Tile {
        let pixels = RgbImage::from_pixel(width, height, Rgb([255, 0, 0]));
        let captions = captions.iter().map(|caption| (*caption).to_owned()).collect();
        Tile { picture: Ok(Picture { pixels, original: (width, height) }), captions }
    }

    #[test]
    fn tiles_share_the_width() {
        let grid = Grid::of(terminal(Graphics::Blocks(Colours::True), (1, 2)));
        assert_eq!((grid.tiles, grid.picture_size()), (3, (25, 20)));
        let narrow = Terminal { columns: 10, ..grid.terminal };
        assert_eq!((Grid::of(narrow).tiles, Grid::of(narrow).picture_size()), (1, (10, 8)));
        assert_eq!(Grid::single(grid.terminal).picture_size(), (80, 42));
    }

    #[test]
    fn half_blocks_and_captions_are_aligned() {
        let grid = Grid::of(terminal(Graphics::Blocks(Colours::True), (1, 2)));
        let failed = Tile { picture: Err("damaged".to_owned()), captions: vec!["bad.jpg".to_owned()] };
        let long = "ü".repeat(40);
        let row = [tile(3, 4, &["a", "lion 93 %"]), failed, tile(2, 2, &[&long])];
        let text = grid.draw(&row).unwrap();
        let lines: Vec<_> = strip_ansi_codes(&text).lines().map(str::to_owned).collect();
        let shown = |cells: [&str; 3]| format!("{:25}  {:25}  {}", cells[0], cells[1], cells[2]);
        assert_eq!(lines[0], shown(["▀▀▀", "", "▀▀"]));
        assert_eq!(lines[1].trim_end(), "▀▀▀");
        assert_eq!(lines[2], shown(["a", "bad.jpg", &format!("{}…", "ü".repeat(24))]));
        assert_eq!(lines[3], "lion 93 %");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn other_protocols_get_one_image_a_row() {
        let grid = Grid::of(terminal(Graphics::Kitty, (10, 20)));
        let row = [tile(100, 50, &["a"]), tile(40, 61, &["b"])];
        let text = grid.draw(&row).unwrap();
        assert!(text.starts_with("\x1b_Ga=T,f=100,q=2,c=52,r=4,m="), "{text:?}");
        assert!(text.contains("\x1b\\\na "), "{text:?}");
        let composed = grid.composed(&[row[0].picture.as_ref().ok(), None, row[1].picture.as_ref().ok()], 4);
        assert_eq!(composed.dimensions(), (790, 80));
        assert_eq!((composed.get_pixel(0, 0).0[3], composed.get_pixel(300, 0).0[3]), (255, 0));
        assert_eq!(composed.get_pixel(2 * 270, 60).0, [255, 0, 0, 255]);
    }
}
