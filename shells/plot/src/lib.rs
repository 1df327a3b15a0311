//! Figures over time, as an SVG.
//!
//! Written by hand: polylines with axes are a few hundred lines, and in integers they are the same bytes
//! everywhere, while a library would be the largest dependency of those who draw.

#![forbid(unsafe_code)]

mod axes;
mod marks;

use std::fmt::{self, Write};

use axes::{TimeAxis, ValueAxis};
pub use axes::{Unit, grouped};
pub use marks::Mark;

const WIDTH: u64 = 960;
const HEIGHT: u64 = 200;
const LEFT: u64 = 110;
const TOP: u64 = 40;
const APART: u64 = 270;

/// Panels below each other that share the time, and what happened meanwhile. Titles, names and labels are
/// written as they are: no `<` and no `&`.
#[derive(Clone, Debug)]
pub struct Drawing<'a> {
    /// Which time it is: the title of the axis, which its unit is added to.
    pub time: &'a str,
    /// Where the time ends, in milliseconds.
    pub length: u64,
    /// From above to below.
    pub panels: Vec<Panel<'a>>,
    /// In the order of their times.
    pub marks: Vec<Mark>,
}

/// One line with a value axis of its own.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// What the values count.
    pub unit: Unit<'a>,
    /// The color of the line, as SVG has it.
    pub color: &'a str,
    /// Times in milliseconds and values, in order.
    pub points: Vec<(u64, u64)>,
}

impl Drawing<'_> {
    /// The drawing, as the text of a file.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let time = TimeAxis::new(self.length);
        let labels = marks::place(&self.marks, &time);
        let first = TOP + marks::height(&labels);
        let (width, height) = (LEFT + WIDTH + 30, first + APART * self.panels.len() as u64);
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>"
        )?;
        let tops: Vec<_> = (0..self.panels.len() as u64).map(|at| first + APART * at).collect();
        for (mark, label) in self.marks.iter().zip(&labels) {
            marks::write(out, mark, label.as_ref(), &time, &tops)?;
        }
        for (panel, top) in self.panels.iter().zip(tops) {
            // The labels of the marks stand between the first panel and its title.
            let title = if top == first { TOP - 20 } else { top - 12 };
            writeln!(
                out,
                "<text x=\"{LEFT}\" y=\"{title}\" font-size=\"14\">{}</text>",
                panel.title
            )?;
            self.write_panel(out, panel, top, &time)?;
        }
        writeln!(out, "</svg>")
    }

    fn write_panel(
        &self,
        out: &mut String,
        panel: &Panel<'_>,
        top: u64,
        time: &TimeAxis,
    ) -> fmt::Result {
        let (middle, bottom) = (top + HEIGHT / 2, top + HEIGHT);
        let most = panel.points.iter().map(|(_, value)| *value).max().unwrap_or(0);
        let values = ValueAxis::new(panel.unit, most);
        writeln!(
            out,
            "<text x=\"18\" y=\"{middle}\" text-anchor=\"middle\" \
             transform=\"rotate(-90 18 {middle})\">{}</text>",
            values.title()
        )?;
        for (value, label) in values.ticks() {
            let y = bottom - values.height(value);
            writeln!(
                out,
                "<path d=\"M{LEFT} {y}h{WIDTH}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>",
                LEFT - 8,
                y + 4,
            )?;
        }
        for (at, label) in time.ticks() {
            let x = time.place(at);
            writeln!(
                out,
                "<path d=\"M{x} {bottom}v5\" stroke=\"#999\"/>\
                 <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                bottom + 18
            )?;
        }
        writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}, in {}</text>",
            LEFT + WIDTH / 2,
            bottom + 36,
            self.time,
            time.unit()
        )?;
        write!(
            out,
            "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"{}\" points=\"",
            panel.color
        )?;
        for (index, &(at, value)) in panel.points.iter().enumerate() {
            let (x, y) = (time.place(at), bottom - values.height(value));
            write!(out, "{}{x},{y}", if index == 0 { "" } else { " " })?;
        }
        writeln!(out, "\"/>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(marks: Vec<Mark>) -> String {
        let points = vec![(0, 0), (5_000, 1_000), (10_000, 2_000)];
        let panel = Panel { title: "some", unit: Unit::Count("tabs"), color: "red", points };
        let panels = vec![panel.clone(), Panel { title: "others", unit: Unit::Bytes, ..panel }];
        Drawing { time: "virtual time", length: 10_000, panels, marks }.svg()
    }

    #[test]
    fn a_line_goes_from_point_to_point() {
        let drawn = drawing(Vec::new());
        assert!(drawn.contains("points=\"110,240 590,140 1070,40\""), "{drawn}");
        assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
    }

    #[test]
    fn axes_have_titles_and_ticks_with_units() {
        let drawn = drawing(Vec::new());
        for text in ["tabs", "2,000", "bytes, in B", "2,000 B", "virtual time, in s", "0 s", "10 s"]
        {
            assert!(drawn.contains(&format!(">{text}</text>")), "{text:?} is not in {drawn}");
        }
        assert_eq!(drawn.matches("virtual time, in s").count(), 2);
    }

    #[test]
    fn a_mark_is_a_line_through_every_panel_with_its_name_once() {
        let mark = Mark { from: 5_000, to: 5_000, label: "crash".to_owned() };
        let drawn = drawing(vec![mark]);
        // A row of labels moves the panels down.
        assert!(drawn.contains("d=\"M590 45V256M590 326V526\""), "{drawn}");
        assert_eq!(drawn.matches(">crash</text>").count(), 1, "{drawn}");
        assert!(drawn.contains("points=\"110,256 590,156 1070,56\""), "{drawn}");
    }

    #[test]
    fn a_mark_that_lasts_is_a_band() {
        let mark = Mark { from: 5_000, to: 7_500, label: "deploy".to_owned() };
        let drawn = drawing(vec![mark]);
        assert!(drawn.contains("d=\"M590 56h240v200h-240zM590 326h240v200h-240z\""), "{drawn}");
        let mark = Mark { from: 5_000, to: u64::MAX, label: "deploy".to_owned() };
        assert!(drawing(vec![mark]).contains("M590 56h480v200h-480z"), "to the end at most");
    }
}
