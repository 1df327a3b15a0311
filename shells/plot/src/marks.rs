//! Marks: what happened at a time, through all panels, with its label above the first.

use std::fmt::{self, Write};

use crate::axes::TimeAxis;
use crate::{HEIGHT, LEFT, TOP, WIDTH};

/// What happened at a time, or lasted from one to another.
#[derive(Clone, Debug)]
pub struct Mark {
    /// When, in milliseconds.
    pub from: u64,
    /// Until when. What ends with the time, or after it, reaches to the right edge.
    pub to: u64,
    /// What it is called.
    pub label: String,
}

/// Above so many rows, labels would be more than the figures. The other marks keep their names as titles,
/// which a viewer shows under the pointer.
const MOST_ROWS: usize = 8;
const ROW_HEIGHT: u64 = 16;
/// No font is measured: an average letter of 12 pixels is narrower than this.
const LETTER_WIDTH: u64 = 7;

/// Where a label stands.
pub(crate) struct Label {
    x: u64,
    row: usize,
}

/// Rows for labels, so that no two of them overlap. At the right edge, where labels stand left of their
/// lines, a line may pass behind a label.
pub(crate) fn place(marks: &[Mark], time: &TimeAxis) -> Vec<Option<Label>> {
    let mut ends = [0; MOST_ROWS];
    let mut place = |mark: &Mark| {
        let width = (mark.label.chars().count() as u64 + 1) * LETTER_WIDTH;
        let x = time.place(mark.from).min((LEFT + WIDTH).saturating_sub(width));
        // Below all that still stand there: the line of this one goes down from its label.
        let row = ends.iter().rposition(|end| *end > x).map_or(0, |row| row + 1);
        *ends.get_mut(row)? = x + width;
        Some(Label { x, row })
    };
    marks.iter().map(&mut place).collect()
}

/// What the rows of labels take.
pub(crate) fn height(labels: &[Option<Label>]) -> u64 {
    let rows = labels.iter().flatten().map(|label| label.row as u64 + 1);
    rows.max().unwrap_or(0) * ROW_HEIGHT
}

/// Draws one mark through the panels that begin at these heights.
pub(crate) fn write(
    out: &mut String,
    mark: &Mark,
    label: Option<&Label>,
    time: &TimeAxis,
    tops: &[u64],
) -> fmt::Result {
    let (x, end) = (time.place(mark.from), time.place(mark.to.max(mark.from)));
    write!(out, "<g><title>{}</title>", mark.label)?;
    if end > x {
        write!(out, "<path fill=\"#777\" fill-opacity=\"0.15\" d=\"")?;
        let width = end - x;
        for top in tops {
            write!(out, "M{x} {top}h{width}v{HEIGHT}h-{width}z")?;
        }
        write!(out, "\"/>")?;
    }
    let text = label.map(|label| (label.x, TOP + label.row as u64 * ROW_HEIGHT));
    write!(out, "<path stroke=\"#777\" stroke-dasharray=\"4 3\" d=\"")?;
    for (index, top) in tops.iter().enumerate() {
        let from = text.filter(|_| index == 0).map_or(*top, |(_, baseline)| baseline + 5);
        write!(out, "M{x} {from}V{}", top + HEIGHT)?;
    }
    write!(out, "\"/>")?;
    if let Some((x, baseline)) = text {
        let halo = "stroke=\"white\" stroke-width=\"3\" paint-order=\"stroke\"";
        write!(out, "<text x=\"{x}\" y=\"{baseline}\" {halo}>{}</text>", mark.label)?;
    }
    writeln!(out, "</g>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(times: &[u64]) -> Vec<Option<usize>> {
        let mark = |at: &u64| Mark { from: *at, to: *at, label: "announce".to_owned() };
        let marks: Vec<_> = times.iter().map(mark).collect();
        let labels = place(&marks, &TimeAxis::new(960));
        assert!(labels.iter().flatten().all(|label| label.x + 63 <= LEFT + WIDTH));
        labels.iter().map(|label| label.as_ref().map(|label| label.row)).collect()
    }

    #[test]
    fn labels_that_would_overlap_stand_below_each_other() {
        // A label is 63 pixels wide, and a millisecond is a pixel.
        assert_eq!(rows(&[0, 62, 63, 126, 400]), [Some(0), Some(1), Some(2), Some(0), Some(0)]);
        assert_eq!(rows(&[950, 960]), [Some(0), Some(1)], "at the right edge");
    }

    #[test]
    fn labels_that_nothing_is_left_for_are_left_out() {
        let rows = rows(&[100; 10]);
        assert_eq!(rows.iter().flatten().count(), MOST_ROWS);
        assert_eq!(rows[MOST_ROWS..], [None, None]);
    }
}
