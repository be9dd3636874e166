//! Charts as SVG, drawn by plotters in the colours of the page.

use std::ops::Range;

use datafusion::error::DataFusionError;
use itertools::Itertools;
use plotters::chart::ChartBuilder;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::prelude::{IntoDrawingArea, IntoFont, SVGBackend};
use plotters::style::{Color, RGBColor, ShapeStyle, TextStyle};

use super::html::escaped;
use crate::Result;

/// Width of a chart in its own units, which a page shrinks to fit: texts stay readable at 360 pixels.
const WIDTH: u32 = 460;

/// Size of texts; plotters divides it by 1.24.
const FONT_SIZE: u32 = 17;

/// Half the width of a whisker's ends.
const CAP: f64 = 4.0;

/// Red and green of colours that stand for inks until the end; the blue is the number of the ink.
const MARKER: (u8, u8) = (254, 1);

/// A colour, by its meaning. The page's style has each as a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Text,
    Quiet,
    Grid,
    Chosen,
    /// One of [`SERIES`], by number.
    Series(usize),
}

/// Colours that tell series apart.
pub(super) const SERIES: usize = 6;

impl Ink {
    const ALL: [(Self, &'static str); 4 + SERIES] = [
        (Self::Text, "--ink"),
        (Self::Quiet, "--quiet"),
        (Self::Grid, "--line"),
        (Self::Chosen, "--accent"),
        (Self::Series(0), "--series-1"),
        (Self::Series(1), "--series-2"),
        (Self::Series(2), "--series-3"),
        (Self::Series(3), "--series-4"),
        (Self::Series(4), "--series-5"),
        (Self::Series(5), "--series-6"),
    ];

    fn number(self) -> usize {
        let same = match self {
            Self::Series(number) => Self::Series(number % SERIES),
            ink => ink,
        };
        Self::ALL.iter().position(|(ink, _)| *ink == same).unwrap_or(0)
    }

    fn colour(self) -> RGBColor {
        RGBColor(MARKER.0, MARKER.1, u8::try_from(self.number()).unwrap_or(0))
    }

    /// The class of a legend's swatch.
    pub(super) fn class(self) -> &'static str {
        Self::ALL[self.number()].1.trim_start_matches("--")
    }
}

/// A direction of a chart.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) title: String,
    /// The start may be greater than the end: the first of a list is on top.
    pub(super) range: Range<f64>,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From zero to `most` or a little more, with round ticks.
    pub(super) fn up_to(title: &str, most: f64) -> Self {
        let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
        let step = round_step(most / 4.0);
        let count = (most / step).ceil() as usize;
        let digits = usize::try_from(-step.log10().floor() as i64).unwrap_or(0);
        let ticks = (0..=count).map(|tick| {
            let value = tick as f64 * step;
            (value, format!("{value:.digits$}"))
        });
        Self { title: title.to_owned(), range: 0.0..count as f64 * step, ticks: ticks.collect() }
    }

    /// A place for each of `names`: the first is at 0.5.
    pub(super) fn of(title: &str, names: &[String]) -> Self {
        let ticks = names.iter().enumerate().map(|(place, name)| (place as f64 + 0.5, name.clone()));
        Self { title: title.to_owned(), range: 0.0..names.len().max(1) as f64, ticks: ticks.collect() }
    }

    pub(super) fn reversed(self) -> Self {
        Self { range: self.range.end..self.range.start, ..self }
    }

    fn label(&self, value: f64) -> String {
        let tick = self.ticks.iter().find(|(place, _)| *place == value);
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// The least of 1, 2, 5, 10, 20, … that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|round| *round >= step).unwrap_or(step)
}

/// An axis as plotters needs it: grid lines and labels where the ticks are.
impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(place, _)| *place).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// Something that is drawn, at places of both axes.
#[derive(Debug, Clone)]
pub(super) enum Mark {
    Line(Vec<(f64, f64)>, Ink),
    Bar([(f64, f64); 2], Ink),
    Dot((f64, f64), Ink),
    Ring((f64, f64), Ink),
    /// An interval, along one axis.
    Whisker([(f64, f64); 2], Ink),
}

/// A chart.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// What it shows, for those who can't see it.
    pub(super) label: String,
    pub(super) height: u32,
    /// Room for the labels of the vertical axis.
    pub(super) left: u32,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) marks: Vec<Mark>,
}

impl Chart {
    /// The chart as an element of a page.
    ///
    /// # Errors
    /// What plotters can't draw.
    pub(super) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg)
            .map_err(|reason| DataFusionError::Execution(format!("a chart can't be drawn: {reason}")))?;
        for (number, (_, variable)) in Ink::ALL.iter().enumerate() {
            let marker = format!("\"#{:02X}{:02X}{number:02X}\"", MARKER.0, MARKER.1);
            svg = svg.replace(&marker, &format!("\"var({variable})\""));
        }
        let size = format!("width=\"{WIDTH}\" height=\"{}\"", self.height);
        Ok(svg.replacen(&size, &format!("role=\"img\" aria-label=\"{}\"", escaped(&self.label)), 1))
    }

    fn draw(&self, svg: &mut String) -> Result<(), String> {
        let describe = |error: &dyn std::fmt::Display| error.to_string();
        let text = |ink: Ink| {
            let style = TextStyle::from(("sans-serif", FONT_SIZE).into_font());
            TextStyle { color: ink.colour().to_backend_color(), ..style }
        };
        let line = |ink: Ink, width: u32| ShapeStyle::from(ink.colour()).stroke_width(width);
        let root = SVGBackend::with_string(svg, (WIDTH, self.height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(6)
            .margin_right(14)
            .x_label_area_size(42)
            .y_label_area_size(self.left)
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(|error| describe(&error))?;
        let is_list = self.y.title.is_empty();
        let mut mesh = chart.configure_mesh();
        mesh.label_style(text(Ink::Quiet))
            .axis_desc_style(text(Ink::Text))
            .axis_style(line(Ink::Grid, 1))
            .bold_line_style(line(Ink::Grid, 1))
            .light_line_style(ShapeStyle::from(Ink::Grid.colour().mix(0.0)))
            .x_desc(&self.x.title)
            .y_desc(&self.y.title);
        // A list has no lines between its items.
        if is_list {
            mesh.disable_y_mesh();
        } else {
            mesh.disable_x_mesh();
        }
        let (x_label, y_label) = (|value: &f64| self.x.label(*value), |value: &f64| self.y.label(*value));
        mesh.x_label_formatter(&x_label).y_label_formatter(&y_label);
        mesh.draw().map_err(|error| describe(&error))?;
        for mark in &self.marks {
            match mark {
                Mark::Line(points, ink) => {
                    chart.draw_series([PathElement::new(points.clone(), line(*ink, 2))])
                }
                Mark::Bar(corners, ink) => {
                    chart.draw_series([Rectangle::new(*corners, ink.colour().filled())])
                }
                Mark::Dot(at, ink) => chart.draw_series([Circle::new(*at, 4, ink.colour().filled())]),
                Mark::Ring(at, ink) => chart.draw_series([Circle::new(*at, 9, line(*ink, 2))]),
                Mark::Whisker(ends, ink) => {
                    let paths = self.whisker(*ends).map(|path| PathElement::new(path, line(*ink, 1)));
                    chart.draw_series(paths)
                }
            }
            .map_err(|error| describe(&error))?;
        }
        root.present().map_err(|error| describe(&error))
    }

    /// The lines of an interval: itself, and a line across each end.
    fn whisker(&self, [from, to]: [(f64, f64); 2]) -> [Vec<(f64, f64)>; 3] {
        let unit = |axis: &Axis, pixels: u32| (axis.range.end - axis.range.start).abs() / f64::from(pixels);
        let is_level = from.1 == to.1;
        let across = |(x, y): (f64, f64)| {
            let (dx, dy) = if is_level {
                (0.0, CAP * unit(&self.y, self.height - 48))
            } else {
                (CAP * unit(&self.x, WIDTH - self.left - 20), 0.0)
            };
            vec![(x - dx, y - dy), (x + dx, y + dy)]
        };
        [vec![from, to], across(from), across(to)]
    }
}

/// Colours and what they stand for, below a chart.
pub(super) fn legend(entries: &[(String, Ink)]) -> String {
    let entry = |(name, ink): &(String, Ink)| {
        format!("<li><span class=\"swatch {}\"></span>{}</li>", ink.class(), escaped(name))
    };
    format!("<ul class=\"legend\">{}</ul>", entries.iter().map(entry).join(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_numbers() {
        let ticks = |most: f64| Axis::up_to("", most).ticks.into_iter().map(|(_, label)| label).join(" ");
        assert_eq!(ticks(237.1), "0 100 200 300");
        assert_eq!(ticks(0.83), "0.0 0.5 1.0");
        assert_eq!(ticks(20.0), "0 5 10 15 20");
        assert_eq!(ticks(0.0), "0.0 0.5 1.0");
    }

    #[test]
    fn colours_are_those_of_the_page_and_texts_are_escaped() -> Result<()> {
        let names = ["<1>".to_owned(), "2".to_owned()];
        let chart = Chart {
            label: "a \"chart\"".to_owned(),
            height: 200,
            left: 60,
            x: Axis::of("batch", &names),
            y: Axis::up_to("rows", 10.0),
            marks: vec![
                Mark::Line(vec![(0.5, 3.0), (1.5, 8.0)], Ink::Series(0)),
                Mark::Whisker([(0.5, 2.0), (0.5, 4.0)], Ink::Series(0)),
                Mark::Ring((1.5, 8.0), Ink::Chosen),
            ],
        };
        let svg = chart.svg()?;
        assert!(svg.starts_with("<svg role=\"img\" aria-label=\"a &quot;chart&quot;\" viewBox="), "{svg}");
        assert!(svg.contains("var(--series-1)") && svg.contains("var(--accent)"), "{svg}");
        assert!(svg.contains("&lt;1&gt;") && !svg.contains("#FE01") && !svg.contains("\"#"), "{svg}");
        Ok(())
    }
}
