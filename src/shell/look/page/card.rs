//! The HTML of an image with its predictions.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::images::decode::{Format, RgbImage};
use crate::images::functions::encode::{Encoding, encode};
use crate::report::escaped;
use crate::shell::look::picture::Picture;
use crate::shell::look::rows::{Prediction, Row};

/// Longest side of a thumbnail in pixels.
const SIDE: u32 = 256;
/// JPEG quality of thumbnails.
const QUALITY: u32 = 80;
/// Most predictions of an image that are listed and drawn, those of highest confidence.
const MAX_PREDICTIONS: usize = 100;
/// Most characters of a value of another column.
const MAX_DETAIL: usize = 200;

/// The list item of a row: image, boxes, name, predictions, other columns.
///
/// The page's script reads `data-expected` of the item, and `data-label`, `data-class` and `data-confidence` of each
/// prediction, whose number is `data-box` of its box.
pub(crate) fn card(row: &Row, max_pixels: u64) -> String {
    let picture = row.image.bytes().and_then(|bytes| {
        let picture = Picture::decode(bytes, max_pixels, (SIDE, SIDE))?;
        let url = data_url(&picture)?;
        Ok((picture, url))
    });
    let mut html = String::from("<li class=\"card\"");
    if let Some(expected) = &row.expected {
        push(&mut html, format_args!(" data-expected=\"{}\"", escaped(expected.trim())));
    }
    html.push_str("><figure>");
    match &picture {
        Ok((picture, url)) => push_picture(&mut html, row, picture, url),
        Err(reason) => push(
            &mut html,
            format_args!("<p class=\"nothing\"><strong>No picture</strong> {}</p>", escaped(reason)),
        ),
    }
    html.push_str("<figcaption>");
    push_caption(&mut html, row);
    html.push_str("</figcaption></figure></li>\n");
    html
}

/// A JPEG within the page.
fn data_url(picture: &Picture) -> Result<String, String> {
    let (width, height) = picture.pixels.dimensions();
    let pixels = picture.pixels.as_raw().clone();
    let image = RgbImage { width, height, pixels, original_width: width, original_height: height };
    let jpeg = encode(&image, Encoding { format: Format::Jpeg, quality: QUALITY })?;
    Ok(format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg)))
}

fn push_picture(html: &mut String, row: &Row, picture: &Picture, url: &str) {
    let (width, height) = picture.pixels.dimensions();
    let found = shown(row).map(|prediction| prediction.text.as_str()).take(3).collect::<Vec<_>>().join(", ");
    let name = if row.short_name().is_empty() { "image" } else { row.short_name() };
    let description = if found.is_empty() { name.to_owned() } else { format!("{name}: {found}") };
    push(
        html,
        format_args!(
            "<div class=\"picture\"><div class=\"frame\"><img src=\"{url}\" width=\"{width}\" height=\"{height}\" alt=\"{}\" loading=\"lazy\" decoding=\"async\">",
            escaped(&description)
        ),
    );
    let boxes =
        shown(row).enumerate().filter_map(|(number, found)| Some((number, found.corners?, found.colour)));
    let boxes: Vec<_> = boxes.collect();
    if !boxes.is_empty() {
        let (width, height) = picture.original;
        push(
            html,
            format_args!(
                "<svg class=\"boxes\" viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
            ),
        );
        for (number, corners, colour) in boxes.iter().rev() {
            push_box(html, *number, *corners, &colour.hex(), (width, height));
        }
        html.push_str("</svg>");
    }
    html.push_str("</div></div>");
}

/// The part of a box that is in the image, if there is one: a dark line below a coloured one.
fn push_box(html: &mut String, number: usize, corners: [f64; 4], colour: &str, (width, height): (u32, u32)) {
    if !corners.iter().all(|edge| edge.is_finite()) {
        return;
    }
    let [x0, y0, x1, y1] = corners;
    let (left, right) = (x0.clamp(0.0, width.into()), x1.clamp(0.0, width.into()));
    let (top, bottom) = (y0.clamp(0.0, height.into()), y1.clamp(0.0, height.into()));
    if left >= right || top >= bottom {
        return;
    }
    let place = format!(
        "x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"",
        right - left,
        bottom - top
    );
    push(
        html,
        format_args!(
            "<g data-box=\"{number}\"><rect class=\"edge\" {place}/><rect class=\"line\" stroke=\"{colour}\" {place}/></g>"
        ),
    );
}

fn push_caption(html: &mut String, row: &Row) {
    if let Some(name) = &row.name {
        push(
            html,
            format_args!(
                "<p class=\"name\" title=\"{}\"><bdi>{}</bdi></p>",
                escaped(name),
                escaped(row.short_name())
            ),
        );
    }
    if let Some(expected) = &row.expected {
        push(html, format_args!("<p class=\"expected\">expected <bdi>{}</bdi></p>", escaped(expected)));
    }
    if let Some(error) = &row.error {
        push(html, format_args!("<p class=\"error\">{}</p>", escaped(error)));
    }
    if !row.predictions.is_empty() {
        html.push_str("<ul class=\"found\">");
        shown(row).enumerate().for_each(|(number, prediction)| push_prediction(html, number, prediction));
        if row.predictions.len() > MAX_PREDICTIONS {
            let more = row.predictions.len() - MAX_PREDICTIONS;
            push(html, format_args!("<li class=\"rest\">and {more} more</li>"));
        }
        html.push_str("</ul>");
    }
    if !row.details.is_empty() {
        html.push_str("<dl>");
        for (name, value) in &row.details {
            let mut value: String = value.chars().take(MAX_DETAIL + 1).collect();
            if value.chars().count() > MAX_DETAIL {
                value.pop();
                value.push('…');
            }
            push(
                html,
                format_args!(
                    "<div><dt><bdi>{}</bdi></dt><dd><bdi>{}</bdi></dd></div>",
                    escaped(name),
                    escaped(&value)
                ),
            );
        }
        html.push_str("</dl>");
    }
}

fn push_prediction(html: &mut String, number: usize, prediction: &Prediction) {
    let class = prediction.class.map(|class| class.to_string()).unwrap_or_default();
    let label = prediction.label.clone().unwrap_or_else(|| class.clone());
    let confidence = prediction.confidence.filter(|confidence| confidence.is_finite());
    push(
        html,
        format_args!(
            "<li data-number=\"{number}\" data-label=\"{}\" data-class=\"{class}\"",
            escaped(&label)
        ),
    );
    if let Some(confidence) = confidence {
        push(html, format_args!(" data-confidence=\"{confidence:.4}\""));
    }
    push(
        html,
        format_args!(
            "><svg viewBox=\"0 0 8 8\" aria-hidden=\"true\"><rect width=\"8\" height=\"8\" rx=\"2\" fill=\"{}\"/></svg><bdi>{}</bdi>",
            prediction.colour.hex(),
            escaped(&label)
        ),
    );
    if let Some(confidence) = confidence {
        push(html, format_args!("<span class=\"confidence\">{:.1} %</span>", confidence * 100.0));
    }
    html.push_str("</li>");
}

/// The predictions that are listed and drawn.
fn shown(row: &Row) -> impl Iterator<Item = &Prediction> {
    row.predictions.iter().take(MAX_PREDICTIONS)
}

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = html.write_fmt(text);
}
