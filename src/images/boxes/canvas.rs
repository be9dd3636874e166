//! Filled rectangles and single pixels, clipped to the image.

use super::colour::Colour;
use crate::images::decode::RgbImage;

/// A rectangle in pixels; right and bottom are exclusive. It may lie outside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) left: i64,
    pub(crate) top: i64,
    pub(crate) right: i64,
    pub(crate) bottom: i64,
}

impl Area {
    /// Larger by `margin` on each side.
    pub(crate) fn grown(self, margin: i64) -> Self {
        Self {
            left: self.left - margin,
            top: self.top - margin,
            right: self.right + margin,
            bottom: self.bottom + margin,
        }
    }
}

/// The pixels of an image to draw on.
#[derive(Debug)]
pub(crate) struct Canvas<'a> {
    image: &'a mut RgbImage,
}

impl<'a> Canvas<'a> {
    pub(crate) fn new(image: &'a mut RgbImage) -> Self {
        Self { image }
    }

    pub(crate) fn width(&self) -> i64 {
        self.image.width.into()
    }

    pub(crate) fn height(&self) -> i64 {
        self.image.height.into()
    }

    pub(crate) fn fill(&mut self, area: Area, colour: Colour) {
        let (left, right) = (area.left.clamp(0, self.width()), area.right.clamp(0, self.width()));
        let (top, bottom) = (area.top.clamp(0, self.height()), area.bottom.clamp(0, self.height()));
        for y in top..bottom {
            let row = self.offset(0, y);
            let columns = row + 3 * left as usize..row + 3 * right.max(left) as usize;
            for pixel in self.image.pixels[columns].chunks_exact_mut(3) {
                pixel.copy_from_slice(&colour.0);
            }
        }
    }

    /// The edges of `area`, `width` pixels wide, inside it.
    pub(crate) fn frame(&mut self, area: Area, width: i64, colour: Colour) {
        let Area { left, top, right, bottom } = area;
        let inner_top = (top + width).min(bottom);
        let inner_bottom = (bottom - width).max(inner_top);
        self.fill(Area { bottom: inner_top, ..area }, colour);
        self.fill(Area { top: inner_bottom, ..area }, colour);
        let sides = Area { top: inner_top, bottom: inner_bottom, ..area };
        self.fill(Area { right: (left + width).min(right), ..sides }, colour);
        self.fill(Area { left: (right - width).max(left), ..sides }, colour);
    }

    /// Mixes `colour` into a pixel by `coverage`, 0 to 1.
    pub(crate) fn mix(&mut self, x: i64, y: i64, colour: Colour, coverage: f32) {
        if !(0..self.width()).contains(&x) || !(0..self.height()).contains(&y) {
            return;
        }
        let offset = self.offset(x, y);
        let pixel = &mut self.image.pixels[offset..offset + 3];
        for (level, new) in pixel.iter_mut().zip(colour.0) {
            let (old, new) = (f32::from(*level), f32::from(new));
            *level = (old + (new - old) * coverage.clamp(0.0, 1.0)).round() as u8;
        }
    }

    /// The index of a pixel, which must be in the image.
    fn offset(&self, x: i64, y: i64) -> usize {
        3 * (y * self.width() + x) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Colour = Colour([255, 0, 0]);

    fn image(width: u32, height: u32) -> RgbImage {
        let pixels = vec![0; 3 * (width * height) as usize];
        RgbImage { width, height, pixels, original_width: width, original_height: height }
    }

    /// Rows of `#` for red and `.` for other pixels.
    fn shown(image: &RgbImage) -> Vec<String> {
        let rows = image.pixels.chunks_exact(3 * image.width as usize);
        rows.map(|row| row.chunks_exact(3).map(|pixel| if pixel == RED.0 { '#' } else { '.' }).collect())
            .collect()
    }

    #[test]
    fn frames_lie_inside_their_area() {
        let mut pixels = image(6, 4);
        Canvas::new(&mut pixels).frame(Area { left: 1, top: 0, right: 5, bottom: 4 }, 1, RED);
        assert_eq!(shown(&pixels), [".####.", ".#..#.", ".#..#.", ".####."]);
        let mut pixels = image(4, 3);
        Canvas::new(&mut pixels).frame(Area { left: 1, top: 1, right: 3, bottom: 2 }, 9, RED);
        assert_eq!(shown(&pixels), ["....", ".##.", "...."]);
    }

    #[test]
    fn what_lies_outside_is_not_drawn() {
        let mut pixels = image(3, 2);
        let mut canvas = Canvas::new(&mut pixels);
        canvas.fill(Area { left: -9, top: -9, right: 1, bottom: 99 }, RED);
        canvas.fill(Area { left: 7, top: 0, right: 9, bottom: 2 }, RED);
        canvas.fill(Area { left: 2, top: 2, right: 1, bottom: 1 }, RED);
        canvas.mix(3, 0, RED, 1.0);
        canvas.mix(0, -1, RED, 1.0);
        assert_eq!(shown(&pixels), ["#..", "#.."]);
    }

    #[test]
    fn pixels_are_mixed_by_coverage() {
        let mut pixels = image(1, 1);
        Canvas::new(&mut pixels).mix(0, 0, Colour([200, 100, 0]), 0.5);
        assert_eq!(pixels.pixels, [100, 50, 0]);
    }
}
