//! Draws objects into an image: frames first, then labels, so that no line crosses a text.

use super::canvas::{Area, Canvas};
use super::colour::{BLACK, colour_of};
use super::objects::Object;
use super::text::Line;
use crate::images::decode::RgbImage;

/// Longer side of an image, in pixels, for each pixel of line width.
const SIDE_PER_LINE: u32 = 320;
/// Longer side of an image for each pixel of a letter's height.
const SIDE_PER_LETTER: u32 = 36;
/// Letters below are unreadable.
const LEAST_LETTER: u32 = 13;

/// The sizes of lines and letters, in pixels.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    line: i64,
    /// Width of the black edge of a line, which shows it on bright ground.
    edge: i64,
    letter: i64,
    /// Space around a text.
    padding: i64,
}

impl Sizes {
    fn of(image: &RgbImage) -> Self {
        let side = image.width.max(image.height);
        let line = i64::from(side.div_ceil(SIDE_PER_LINE));
        let letter = i64::from((side / SIDE_PER_LETTER).max(LEAST_LETTER));
        Self { line, edge: (line / 3).max(1), letter, padding: (letter / 5).max(2) }
    }
}

/// Draws `objects` into `image`, the first on top. What lies outside the image is not drawn.
pub(crate) fn draw(image: &mut RgbImage, objects: &[Object<'_>]) {
    let sizes = Sizes::of(image);
    let mut canvas = Canvas::new(image);
    let areas = objects.iter().filter_map(|object| Some((object, area_in(&canvas, object.corners?)?)));
    let areas: Vec<_> = areas.collect();
    for (object, area) in areas.iter().rev() {
        canvas.frame(area.grown(sizes.edge), sizes.line + 2 * sizes.edge, BLACK);
        canvas.frame(*area, sizes.line, colour_of(object.class, object.label));
    }
    for (object, area) in areas.iter().rev() {
        label(&mut canvas, object, *area, sizes);
    }
}

/// The part of a box that is in the image, in whole pixels; `None` if there is none.
fn area_in(canvas: &Canvas<'_>, [x0, y0, x1, y1]: [f64; 4]) -> Option<Area> {
    if ![x0, y0, x1, y1].iter().all(|edge| edge.is_finite()) {
        return None;
    }
    let (width, height) = (canvas.width(), canvas.height());
    let within = |edge: f64, most: i64| edge.round().clamp(0.0, most as f64) as i64;
    let (left, right) = (within(x0, width), within(x1, width));
    let (top, bottom) = (within(y0, height), within(y1, height));
    (left < right && top < bottom).then_some(Area { left, top, right, bottom })
}

/// The label above a box, or inside it if there is no room above.
fn label(canvas: &mut Canvas<'_>, object: &Object<'_>, area: Area, sizes: Sizes) {
    let text = object.text();
    let Sizes { letter, padding, edge, .. } = sizes;
    let max_width = (canvas.width() - 2 * padding) as f32;
    let Some(line) = Line::new(&text, letter as f32, max_width) else { return };
    let (width, height) = (line.width().ceil() as i64 + 2 * padding, letter + padding);
    let above = area.top - edge - height;
    let top = if above >= 0 { above } else { area.top };
    let left = (area.left - edge).min(canvas.width() - width).max(0);
    let ground = colour_of(object.class, object.label);
    canvas.fill(Area { left, top, right: left + width, bottom: top + height }, ground);
    line.draw(canvas, (left + padding, top + padding / 2), ground.ink());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32) -> RgbImage {
        let pixels = vec![128; 3 * (width * height) as usize];
        RgbImage { width, height, pixels, original_width: width, original_height: height }
    }

    fn object(corners: [f64; 4], label: Option<&'static str>) -> Object<'static> {
        Object { corners: Some(corners), label, class: Some(0), confidence: None }
    }

    fn pixel(image: &RgbImage, x: u32, y: u32) -> [u8; 3] {
        let at = 3 * (y * image.width + x) as usize;
        [image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]]
    }

    const GREY: [u8; 3] = [128; 3];

    #[test]
    fn a_frame_has_the_colour_of_its_class_between_black_edges() {
        let mut image = grey(100, 100);
        draw(&mut image, &[object([20.0, 30.0, 60.0, 70.0], None)]);
        let colour = colour_of(Some(0), None).0;
        let row: Vec<_> = (18..23).map(|x| pixel(&image, x, 50)).collect();
        assert_eq!(row, [GREY, BLACK.0, colour, BLACK.0, GREY]);
        assert_eq!(pixel(&image, 59, 50), colour, "the right edge is exclusive");
        assert_eq!(pixel(&image, 40, 50), GREY);
    }

    #[test]
    fn lines_and_letters_grow_with_the_image() {
        let sizes = |side| Sizes::of(&RgbImage { height: 1, ..grey(side, 1) });
        assert_eq!((sizes(100).line, sizes(640).line, sizes(4000).line), (1, 2, 13));
        assert_eq!((sizes(100).letter, sizes(640).letter, sizes(4000).letter), (13, 17, 111));
    }

    #[test]
    fn boxes_outside_the_image_are_clipped_or_left_out() {
        let mut image = grey(50, 50);
        let outside = [
            [60.0, 0.0, 90.0, 40.0],
            [0.0, -20.0, 40.0, -1.0],
            [30.0, 10.0, 20.0, 40.0],
            [f64::NAN, 0.0, 10.0, 10.0],
            [0.0, 0.0, f64::INFINITY, 10.0],
        ];
        draw(&mut image, &outside.map(|corners| object(corners, Some("x"))));
        assert_eq!(image, grey(50, 50));
        draw(&mut image, &[object([-1e300, 10.0, 1e300, 40.0], None)]);
        assert_eq!(pixel(&image, 0, 20), colour_of(Some(0), None).0);
        assert_eq!(pixel(&image, 49, 20), colour_of(Some(0), None).0);
    }

    #[test]
    fn labels_are_drawn_above_a_box_or_inside_at_its_top() {
        let colour = colour_of(Some(0), None).0;
        let mut image = grey(200, 200);
        draw(&mut image, &[object([20.0, 100.0, 180.0, 180.0], Some("lion"))]);
        assert_eq!(pixel(&image, 20, 84), colour);
        assert_eq!(pixel(&image, 25, 110), GREY);
        let mut image = grey(200, 200);
        draw(&mut image, &[object([20.0, 2.0, 180.0, 180.0], Some("lion"))]);
        assert_eq!(pixel(&image, 20, 4), colour);
        // At the right edge it moves into the image.
        let mut image = grey(200, 200);
        draw(&mut image, &[object([190.0, 100.0, 199.0, 180.0], Some("lion"))]);
        assert_eq!(pixel(&image, 199, 84), colour);
        assert_eq!(pixel(&image, 180, 84), colour);
    }

    #[test]
    fn an_image_smaller_than_its_label_and_thousands_of_boxes_are_drawn() {
        let mut image = grey(5, 4);
        draw(&mut image, &[object([0.0, 0.0, 5.0, 4.0], Some("lion"))]);
        assert_ne!(image, grey(5, 4));
        let many = vec![object([1.0, 1.0, 90.0, 90.0], Some("lion")); 5000];
        let (mut one, mut all) = (grey(100, 100), grey(100, 100));
        draw(&mut one, &many[..1]);
        draw(&mut all, &many);
        assert_eq!(one.pixels.len(), all.pixels.len());
    }
}
