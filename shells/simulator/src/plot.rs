//! An SVG of connections, backlog and closes over virtual time, with the incidents.

use headcount_plot::{Drawing, Mark, Panel, Unit};

use crate::queue::Millis;
use crate::report::clock;
use crate::simulation::sample_every;
use crate::tally::{Aftermath, Sample, Tally};
use crate::values::Span;

pub(crate) fn svg(tally: &Tally, length: Millis) -> String {
    let points = |value: fn(&Sample) -> u64| {
        tally.samples.iter().map(|sample| (u64::from(sample.at), value(sample))).collect()
    };
    // Each is a count since the sample before: a rate would round what is rare to nothing.
    let closed_in = format!("connections in {}", Span(sample_every(length)));
    let panels = vec![
        Panel {
            title: "open connections",
            unit: Unit::Count("connections"),
            color: "#1f6feb",
            points: points(|sample| sample.open.into()),
        },
        Panel {
            title: "backlog: bytes in logs and bytes handed out, unread",
            unit: Unit::Bytes,
            color: "#bf5b04",
            points: points(|sample| sample.logged + sample.unread),
        },
        Panel {
            title: "connections closed",
            unit: Unit::Count(&closed_in),
            color: "#b62324",
            points: points(|sample| sample.closed),
        },
    ];
    let mark = |incident: &Aftermath| Mark {
        from: incident.at.into(),
        to: incident.over_at.into(),
        label: format!("{} at {}", incident.what, clock(incident.at)),
    };
    let marks = tally.aftermaths.iter().map(mark).collect();
    Drawing { time: "virtual time", length: length.into(), panels, marks }.svg()
}
