//! An SVG of connections, backlog and closes over virtual time.

use headcount_plot::Panel;

use crate::queue::Millis;
use crate::report::clock;
use crate::tally::Sample;

pub(crate) fn svg(samples: &[Sample], length: Millis) -> String {
    let points = |value: fn(&Sample) -> u64| {
        samples.iter().map(|sample| (u64::from(sample.at), value(sample))).collect()
    };
    let panels = [
        Panel {
            title: "open connections",
            color: "#1f6feb",
            points: points(|sample| sample.open.into()),
        },
        Panel {
            title: "backlog: bytes in logs and bytes handed out, unread",
            color: "#bf5b04",
            points: points(|sample| sample.logged + sample.unread),
        },
        Panel {
            title: "connections closed, per sample",
            color: "#b62324",
            points: points(|sample| sample.closed),
        },
    ];
    headcount_plot::svg(&panels, length.into(), |at| clock(at as Millis))
}
