//! Figures over time, as an SVG.
//!
//! Written by hand: polylines with axes are a hundred lines, and in integers they are the same bytes
//! everywhere, while a library would be the largest dependency of those who draw.

#![forbid(unsafe_code)]

use std::fmt::{self, Write};

const WIDTH: u64 = 960;
const HEIGHT: u64 = 200;
const LEFT: u64 = 110;
const TOP: u64 = 40;
const APART: u64 = 270;

/// One line with axes of its own. All panels of a drawing share the time.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// What stands above it. It is written as it is: no `<` and no `&`.
    pub title: &'a str,
    /// The color of the line, as SVG has it.
    pub color: &'a str,
    /// Times and values, in order. Times are of the unit that the drawing's length has.
    pub points: Vec<(u64, u64)>,
}

/// Draws panels below each other, from time 0 to `length`. `clock` writes a time below its axis.
#[must_use]
pub fn svg(panels: &[Panel<'_>], length: u64, clock: impl Fn(u64) -> String) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write_svg(&mut out, panels, length.max(1), &clock);
    out
}

/// A number with its thousands apart.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn write_svg(
    out: &mut String,
    panels: &[Panel<'_>],
    length: u64,
    clock: &impl Fn(u64) -> String,
) -> fmt::Result {
    let (width, height) = (LEFT + WIDTH + 30, TOP + APART * panels.len() as u64);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>"
    )?;
    for (index, panel) in panels.iter().enumerate() {
        write_panel(out, panel, TOP + APART * index as u64, length, clock)?;
    }
    writeln!(out, "</svg>")
}

fn write_panel(
    out: &mut String,
    panel: &Panel<'_>,
    top: u64,
    length: u64,
    clock: &impl Fn(u64) -> String,
) -> fmt::Result {
    let bottom = top + HEIGHT;
    let most = round_up(panel.points.iter().map(|(_, value)| *value).max().unwrap_or(0));
    writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" font-size=\"14\">{}</text>", top - 12, panel.title)?;
    for step in 0..=4 {
        let y = bottom - HEIGHT * step / 4;
        writeln!(
            out,
            "<path d=\"M{LEFT} {y}h{WIDTH}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 8,
            y + 4,
            grouped(most * step / 4)
        )?;
    }
    for step in 0..=6 {
        let x = LEFT + WIDTH * step / 6;
        let at = clock(length * step / 6);
        writeln!(
            out,
            "<path d=\"M{x} {bottom}v5\" stroke=\"#999\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{at}</text>",
            bottom + 18
        )?;
    }
    write!(
        out,
        "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"{}\" points=\"",
        panel.color
    )?;
    for (index, &(at, value)) in panel.points.iter().enumerate() {
        let x = LEFT + WIDTH * at / length;
        let drawn = u128::from(value) * u128::from(HEIGHT) / u128::from(most);
        let y = bottom - drawn as u64;
        write!(out, "{}{x},{y}", if index == 0 { "" } else { " " })?;
    }
    writeln!(out, "\"/>")
}

/// The next of 4, 8, 12, 20 with zeros behind, so that the four lines have round figures.
fn round_up(most: u64) -> u64 {
    let mut unit = 4_u64;
    loop {
        for factor in [1, 2, 3, 5] {
            if unit.saturating_mul(factor) >= most {
                return unit.saturating_mul(factor);
            }
        }
        unit = unit.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_point_to_point() {
        let points = vec![(0, 0), (5, 1_000), (10, 2_000)];
        let panel = Panel { title: "some", color: "red", points };
        let drawn = svg(&[panel], 10, |at| format!("{at} s"));
        assert!(drawn.contains("points=\"110,240 590,140 1070,40\""), "{drawn}");
        assert!(drawn.contains(">2,000</text>") && drawn.contains(">10 s</text>"), "{drawn}");
        assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
    }

    #[test]
    fn scales_are_round() {
        for (most, scale) in [(0, 4), (5, 8), (99, 120), (121, 200), (1_000_000, 1_200_000)] {
            assert_eq!(round_up(most), scale);
        }
        assert!(round_up(u64::MAX) == u64::MAX);
    }
}
