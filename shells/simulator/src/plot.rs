//! An SVG of connections, backlog and closes over virtual time.
//!
//! Written by hand: three polylines with axes are a hundred lines, and in integers they are the same
//! bytes everywhere, while a library would be the simulator's largest dependency.

use std::fmt::{self, Write};

use crate::queue::Millis;
use crate::report::{clock, grouped};
use crate::tally::Sample;

const WIDTH: u64 = 960;
const HEIGHT: u64 = 200;
const LEFT: u64 = 110;
const TOP: u64 = 40;
const APART: u64 = 270;

struct Panel<'a> {
    title: &'a str,
    color: &'a str,
    value: fn(&Sample) -> u64,
}

const PANELS: [Panel<'static>; 3] = [
    Panel { title: "open connections", color: "#1f6feb", value: |sample| sample.open as u64 },
    Panel {
        title: "backlog: bytes in logs and bytes handed out, unread",
        color: "#bf5b04",
        value: |sample| sample.logged + sample.unread,
    },
    Panel {
        title: "connections closed, per sample",
        color: "#b62324",
        value: |sample| sample.closed,
    },
];

pub(crate) fn svg(samples: &[Sample], length: Millis) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write_svg(&mut out, samples, u64::from(length.max(1)));
    out
}

fn write_svg(out: &mut String, samples: &[Sample], length: u64) -> fmt::Result {
    let (width, height) = (LEFT + WIDTH + 30, TOP + APART * PANELS.len() as u64);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>"
    )?;
    for (index, panel) in PANELS.iter().enumerate() {
        write_panel(out, panel, TOP + APART * index as u64, samples, length)?;
    }
    writeln!(out, "</svg>")
}

fn write_panel(
    out: &mut String,
    panel: &Panel<'_>,
    top: u64,
    samples: &[Sample],
    length: u64,
) -> fmt::Result {
    let bottom = top + HEIGHT;
    let most = round_up(samples.iter().map(panel.value).max().unwrap_or(0));
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
        let at = clock((length * step / 6) as Millis);
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
    for (index, sample) in samples.iter().enumerate() {
        let x = LEFT + WIDTH * u64::from(sample.at) / length;
        let drawn = u128::from((panel.value)(sample)) * u128::from(HEIGHT) / u128::from(most);
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
    fn scales_are_round() {
        for (most, scale) in [(0, 4), (5, 8), (99, 120), (121, 200), (1_000_000, 1_200_000)] {
            assert_eq!(round_up(most), scale);
        }
        assert!(round_up(u64::MAX) == u64::MAX);
    }
}
